import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';

const FOLDER = 'sample/03-kubernetes';

/** What the tests look at in an object of the cluster. */
export interface Manifest {
  readonly file: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Labels };
  readonly spec: Spec;
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
}

export type Labels = Readonly<Record<string, string>>;

interface Spec {
  readonly template?: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec };
  readonly selector?: Labels & { readonly matchLabels?: Labels };
  readonly scaleTargetRef?: { readonly kind?: string; readonly name: string };
  readonly maxReplicas?: number;
  readonly maxReplicaCount?: number;
  readonly ports?: readonly Port[];
  readonly endpoints?: readonly { readonly port: string; readonly path: string }[];
}

interface Port {
  readonly name: string;
  readonly port?: number;
  readonly targetPort?: string;
  readonly containerPort?: number;
}

export interface PodSpec {
  readonly terminationGracePeriodSeconds?: number;
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly ports?: readonly Port[];
  readonly env?: readonly Variable[];
  readonly envFrom?: readonly { readonly configMapRef: { readonly name: string } }[];
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly startupProbe?: Probe;
  readonly lifecycle?: { readonly preStop?: { readonly exec: { readonly command: readonly string[] } } };
}

interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: string };
}

interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly secretKeyRef: { readonly name: string; readonly key: string } };
}

/** Every object of the sample, those of `variants` too. */
export async function readManifests(): Promise<readonly Manifest[]> {
  const objects = await Promise.all((await fileNames()).map(readObjects));
  return objects.flat().filter(({ kind }) => kind !== undefined);
}

/** Names that begin with `sagaz_`, wherever they stand: in queries and values too. */
export async function metricsNamed(): Promise<readonly string[]> {
  const files = await fileNames();
  const texts = await Promise.all(files.map((file) => readFile(path.join(FOLDER, file), 'utf8')));
  return [...new Set([...texts.join('\n').matchAll(/sagaz_\w+/g)].map(([name]) => name))];
}

async function fileNames(): Promise<string[]> {
  const folders = ['manifests', 'variants'];
  const files = folders.map(async (folder) =>
    (await readdir(path.join(FOLDER, folder))).map((name) => path.join(folder, name)),
  );
  return (await Promise.all(files)).flat();
}

async function readObjects(file: string): Promise<Manifest[]> {
  const documents = parseAllDocuments(await readFile(path.join(FOLDER, file), 'utf8'), { uniqueKeys: true });
  return [...documents].map((document) => {
    if (document.errors.length > 0) throw new Error(`${file}: ${String(document.errors[0])}`);
    return { file, ...(document.toJS() as Omit<Manifest, 'file'>) };
  });
}

export function podsOf(manifests: readonly Manifest[]): readonly { manifest: Manifest; pod: PodSpec }[] {
  return manifests.flatMap((manifest) =>
    manifest.spec?.template ? [{ manifest, pod: manifest.spec.template.spec }] : [],
  );
}

/** The environment that a container gets. */
export function environmentOf(
  { env = [], envFrom = [] }: Container,
  manifests: readonly Manifest[],
): Readonly<Record<string, string>> {
  const find = (kind: string, name: string) =>
    manifests.find((it) => it.kind === kind && it.metadata.name === name);
  const settings = envFrom.map(({ configMapRef: { name } }) => {
    const { data } = find('ConfigMap', name) ?? {};
    if (!data) throw new Error(`there is no ConfigMap ${name}`);
    return data;
  });
  const own = env.map(({ name, value, valueFrom }) => {
    const secret = valueFrom?.secretKeyRef;
    const found = value ?? find('Secret', secret?.name ?? '')?.stringData?.[secret?.key ?? ''];
    if (found === undefined) throw new Error(`${name}: there is no value for it`);
    return [name, found];
  });
  return Object.assign({}, ...settings, Object.fromEntries(own)) as Record<string, string>;
}
