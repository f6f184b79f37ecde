import path from 'node:path';
import ts from 'typescript';
import type { Manifest } from './manifests.js';

/** Packages with the models of what is no part of Kubernetes itself. */
const PACKAGES: Readonly<Record<string, string>> = {
  'keda.sh': '@kubernetes-models/keda',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator',
};

/** Module of the model of an object. */
export function modelOf({ apiVersion }: Manifest): string {
  const group = apiVersion.split('/')[0] ?? '';
  return `${PACKAGES[group] ?? 'kubernetes-models'}/${apiVersion}`;
}

/**
 * Checks objects against the types of their models: at run time an unknown field is let pass, as by a cluster that drops it.
 * @returns what the compiler says
 */
export function unknownFields(manifests: readonly Manifest[]): readonly string[] {
  const lines = manifests.map(({ file: _, ...manifest }, index) => {
    const { kind } = manifest;
    const type = `import('${modelOf({ file: '', ...manifest })}').I${kind}`;
    return `export const object${index}: ${type} = ${JSON.stringify(manifest)};`;
  });
  const file = path.resolve('test/support/kubernetes/objects.ts');
  const options: ts.CompilerOptions = {
    ...{ noEmit: true, strict: true, skipLibCheck: true, types: [] },
    ...{ module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext },
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (name) => name === file || fileExists(name);
  host.getSourceFile = (name, ...rest) =>
    name === file
      ? ts.createSourceFile(name, lines.join('\n'), ts.ScriptTarget.ES2022)
      : getSourceFile.call(host, name, ...rest);
  const program = ts.createProgram([file], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ messageText, file: source, start = 0 }) => {
    const line = source ? source.getLineAndCharacterOfPosition(start).line : -1;
    const { kind, metadata } = manifests[line] ?? { kind: '', metadata: { name: '' } };
    return `${kind} ${metadata.name}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}
