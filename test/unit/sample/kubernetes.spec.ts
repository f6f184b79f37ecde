import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { parse } from 'yaml';
import { COMMANDS } from '../../../lib/cli/run.js';
import { parseDuration } from '../../../lib/runtime/duration.js';
import {
  environmentOf,
  metricsNamed,
  podsOf,
  readManifests,
  type Container,
  type Labels,
  type Manifest,
} from '../../support/kubernetes/manifests.js';
import { modelOf, unknownFields } from '../../support/kubernetes/type-check.js';

const SAMPLE = 'sample/03-kubernetes';
const IMAGE = 'sagaz-orders';

interface Model {
  new (object: object): { validate(): void };
}

async function sources(folder: string): Promise<string> {
  const names = await readdir(folder, { recursive: true });
  const files = names.filter((name) => name.endsWith('.ts')).map((name) => path.join(folder, name));
  return (await Promise.all(files.map((file) => readFile(file, 'utf8')))).join('\n');
}

describe('the manifests of the sample', () => {
  let manifests: readonly Manifest[];
  const of = (kind: string) => manifests.filter((it) => it.kind === kind);
  const named = (kind: string, name: string) => of(kind).find((it) => it.metadata.name === name);
  const ours = (): Container[] =>
    podsOf(manifests)
      .flatMap(({ pod }) => [...(pod.initContainers ?? []), ...pod.containers])
      .filter(({ image }) => image === IMAGE);

  beforeAll(async () => {
    manifests = (await readManifests()).filter(({ kind }) => kind !== 'Kustomization');
  });

  it('are what Kubernetes, KEDA and the Prometheus operator take', async () => {
    for (const { file, ...manifest } of manifests) {
      const models = (await import(modelOf({ file, ...manifest }))) as Record<string, Model>;
      const Type = models[manifest.kind];
      if (!Type) throw new Error(`${file}: there is no ${manifest.kind} in ${manifest.apiVersion}`);
      expect(() => new Type(manifest).validate()).not.toThrow();
    }
    const kinds = manifests.map(({ kind }) => kind).sort();
    expect([...new Set(kinds)]).toEqual([
      'ConfigMap',
      'Deployment',
      'HorizontalPodAutoscaler',
      'Job',
      'Namespace',
      'PodDisruptionBudget',
      'ScaledObject',
      'Secret',
      'Service',
      'ServiceMonitor',
      'StatefulSet',
    ]);
  });

  it('have no field that those do not know', () => {
    const [first] = of('Deployment');
    const misspelt = { ...first, spec: { ...first?.spec, replcas: 2 } } as unknown as Manifest;
    expect(unknownFields([...manifests, misspelt])).toEqual([
      expect.stringMatching(/api: .*replcas.* does not exist/),
    ]);
  });

  it('are all applied together, in the namespace sagaz', async () => {
    const { resources, namespace } = parse(
      await readFile(`${SAMPLE}/manifests/kustomization.yaml`, 'utf8'),
    ) as { resources: string[]; namespace: string };
    const files = (await readdir(`${SAMPLE}/manifests`)).filter((name) => name !== 'kustomization.yaml');
    expect([...resources].sort()).toEqual(files.sort());
    expect([namespace, named('Namespace', 'sagaz')?.kind]).toEqual(['sagaz', 'Namespace']);
    for (const { kind, metadata } of manifests)
      if (kind !== 'Namespace')
        expect([kind, metadata.name, metadata.namespace]).toEqual([kind, metadata.name, 'sagaz']);
  });

  it('lead to each other: selectors to pods, targets to deployments, ports to ports', () => {
    const pods = podsOf(manifests).map(({ manifest }) => manifest.spec.template?.metadata.labels ?? {});
    const selected = (labels: Labels) =>
      pods.filter((pod) => Object.entries(labels).every(([name, value]) => pod[name] === value)).length;
    for (const { kind, metadata, spec } of manifests) {
      if (kind === 'ServiceMonitor' || !spec?.selector) continue;
      expect([kind, metadata.name, selected(spec.selector.matchLabels ?? spec.selector)]).toEqual([
        kind,
        metadata.name,
        1,
      ]);
    }
    for (const { spec } of [...of('HorizontalPodAutoscaler'), ...of('ScaledObject')])
      expect(named('Deployment', spec.scaleTargetRef?.name ?? '')).toBeDefined();
    const [monitor] = of('ServiceMonitor');
    const watched = of('Service').filter(({ metadata }) =>
      Object.entries(monitor?.spec.selector?.matchLabels ?? {}).every(
        ([name, value]) => metadata.labels?.[name] === value,
      ),
    );
    expect(watched.map(({ metadata }) => metadata.name).sort()).toEqual(['api', 'outbox-worker']);
    for (const { spec } of watched)
      expect(spec.ports?.map(({ name }) => name)).toEqual([monitor?.spec.endpoints?.[0]?.port]);
    const ports = (name: string) => named('Service', name)?.spec.ports?.map(({ port }) => port);
    expect([ports('postgres'), ports('rabbitmq')]).toEqual([[5432], [5672, 15672]]);
  });

  it('set only variables that code reads (pitfall 31)', async () => {
    const read = await sources(`${SAMPLE}/src`);
    const library = await sources('lib');
    const containers = ours();
    expect(containers.length).toBe(5);
    for (const container of containers) {
      const names = Object.keys(environmentOf(container, manifests));
      const isCli = container.command !== undefined;
      // The settings that all share are those of the application.
      const shared = isCli ? Object.keys(named('ConfigMap', 'settings')?.data ?? {}) : [];
      for (const name of names.filter((it) => !shared.includes(it))) {
        const isRead = isCli
          ? library.includes(`env['${name}']`)
          : new RegExp(`^  ${name}: z`, 'm').test(read) || name === 'NODE_ENV';
        expect([container.name, name, isRead]).toEqual([container.name, name, true]);
      }
    }
    expect(library).toContain('environment.NODE_ENV');
    for (const name of Object.keys(named('ConfigMap', 'settings')?.data ?? {}))
      expect([name, new RegExp(`^  ${name}: z`, 'm').test(read)]).toEqual([name, true]);
  });

  it('have no variable that is checked and then used by nobody, and document each (pitfall 31)', async () => {
    const config = await readFile(`${SAMPLE}/src/config.ts`, 'utf8');
    const names = [...config.matchAll(/^ {2}([A-Z_]+): z/gm)].map(([, name]) => name ?? '');
    const others = (await sources(`${SAMPLE}/src`)).replace(config, '');
    for (const name of names) expect([name, new RegExp(`\\b${name}\\b`).test(others)]).toEqual([name, true]);
    const page = await readFile(`${SAMPLE}/README.md`, 'utf8');
    const documented = [...page.matchAll(/^\| `([A-Z_]+)`/gm)].map(([, name]) => name);
    expect(documented).toEqual([...names, 'NODE_ENV']);
  });

  it('call the command line by its name and its commands', async () => {
    const { bin } = JSON.parse(await readFile('package.json', 'utf8')) as { bin: Record<string, string> };
    const commands = ours().flatMap(({ command }) => (command ? [command] : []));
    expect(commands.length).toBe(3);
    for (const [program = '', ...words] of commands) {
      expect(Object.keys(bin).map((name) => `node_modules/.bin/${name}`)).toContain(program);
      expect(COMMANDS.map(({ name }) => name)).toContain(words.join(' '));
    }
  });

  it('let at most 16 workers relay, and give each the time to stop', () => {
    const [scaler] = of('HorizontalPodAutoscaler');
    const [scaled] = of('ScaledObject');
    expect([scaler?.spec.maxReplicas, scaled?.spec.maxReplicaCount]).toEqual([16, 16]);
    const relaying = podsOf(manifests).filter(({ pod }) =>
      pod.containers.some((it) =>
        ['all', 'outbox'].includes(environmentOf(it, manifests)['SAGAZ_WORKER'] ?? ''),
      ),
    );
    expect(relaying.map(({ manifest }) => manifest.metadata.name)).toEqual([
      scaler?.spec.scaleTargetRef?.name,
    ]);
    for (const { pod } of podsOf(manifests).filter(({ manifest }) => manifest.kind === 'Deployment')) {
      const [container] = pod.containers as [Container];
      const drainMs = parseDuration(environmentOf(container, manifests)['SAGAZ_SHUTDOWN_TIMEOUT']) ?? NaN;
      const [, seconds = '0'] = container.lifecycle?.preStop?.exec.command ?? [];
      const least = Number(seconds) + drainMs / 1_000 + 5;
      expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(least);
    }
  });

  // That a process of them exports these is seen in test/e2e/kubernetes.spec.ts.
  it('name nothing sagaz_ but metrics that are documented', async () => {
    const names = await metricsNamed();
    const page = await readFile('docs/reference/metrics.md', 'utf8');
    expect(names).toEqual(['sagaz_outbox_pending_events']);
    for (const name of names) expect(page).toMatch(new RegExp(`^\\| \`${name}\``, 'm'));
  });
});

describe('the image of the sample', () => {
  it('is made of files that are there, and runs a program that is compiled', async () => {
    const file = await readFile(`${SAMPLE}/Dockerfile`, 'utf8');
    const copied = [...file.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, list = '']) =>
      list.split(' '),
    );
    expect(copied.length).toBeGreaterThan(5);
    for (const name of copied) await expect(stat(name)).resolves.toBeDefined();
    expect(file).toContain('CMD ["node", "dist/main.js"]');
    await expect(stat(`${SAMPLE}/src/main.ts`)).resolves.toBeDefined();
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    expect(file.match(/nestjs-sagaz-[\d.]+\.tgz/g)).toEqual(Array(2).fill(`nestjs-sagaz-${version}.tgz`));
  });

  it('has what its code imports, in the versions that are tested here', async () => {
    const { devDependencies } = JSON.parse(await readFile('package.json', 'utf8')) as {
      devDependencies: Record<string, string>;
    };
    const { dependencies } = JSON.parse(await readFile(`${SAMPLE}/image/package.json`, 'utf8')) as {
      dependencies: Record<string, string>;
    };
    for (const [name, version] of Object.entries(dependencies))
      expect([name, devDependencies[name]]).toEqual([name, version]);
    const imported = [...(await sources(`${SAMPLE}/src`)).matchAll(/from '([^.'][^']*)'/g)].map(
      ([, name = '']) => name,
    );
    const packages = new Set(imported.map((name) => name.match(/^(@[^/]+\/)?[^/]+/)?.[0] ?? name));
    packages.delete('nestjs-sagaz');
    for (const name of packages) expect(Object.keys(dependencies)).toContain(name);
  });
});
