import type { DiscoveryService, MetadataScanner } from '@nestjs/core';
import type { SagaListenerHooks, SagaListenerOptions } from '../decorators/saga-listener.decorator.js';
import { Place, section } from '../runtime/readers.js';
import { errorText } from '../runtime/error-text.js';
import type { SagaRegistry } from '../saga/definition/saga-registry.js';
import { SagaDefinitionError, type DefinitionFault, type DefinitionFaultKind } from '../saga/state/errors.js';
import { LISTENER_METADATA } from '../sagaz.tokens.js';

type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];
export type Hook = keyof SagaListenerHooks;

/** A record names every hook, or it does not compile. */
const HOOKS: Readonly<Record<Hook, true>> = {
  onSagaStarted: true,
  onStepCompleted: true,
  onStepFailed: true,
  onStepCompensated: true,
  onSagaEnded: true,
};
const HOOK_NAMES = Object.keys(HOOKS) as readonly Hook[];

/** A provider or controller under `@SagaListener`. */
export interface Listener {
  readonly className: string;
  readonly instance: SagaListenerHooks;
  /** Those that it has. */
  readonly hooks: readonly Hook[];
  /** Name of the saga it wants to hear of; undefined for every saga. */
  readonly saga: string | undefined;
}

interface ListenerHost extends Omit<Listener, 'saga'> {
  readonly options: SagaListenerOptions;
  readonly singleton: boolean;
}

export interface ListenerExplorerSettings {
  readonly discovery: DiscoveryService;
  readonly scanner: MetadataScanner;
  /** Holds every saga of the application. */
  readonly registry: SagaRegistry;
}

/** @throws SagaDefinitionError with every fault of every listener */
export function exploreListeners(settings: ListenerExplorerSettings): readonly Listener[] {
  const { discovery, scanner, registry } = settings;
  const wrappers = [...discovery.getProviders(), ...discovery.getControllers()].filter((it) => !it.isAlias);
  const hosts = wrappers.map((wrapper) => hostOf(wrapper, scanner)).filter((host) => host !== undefined);
  const faults: DefinitionFault[] = [];
  const listeners = hosts.map((host) => {
    const { className, instance, hooks } = host;
    faults.push(...faultsOf(host));
    return { className, instance, hooks, saga: sagaName(host, registry, faults) };
  });
  if (faults.length > 0) throw new SagaDefinitionError(faults);
  return listeners;
}

/** Of a request-scoped provider too: Nest keeps an object with its prototype. */
function hostOf(wrapper: Wrapper, scanner: MetadataScanner): ListenerHost | undefined {
  const instance: unknown = wrapper.instance;
  if (typeof instance !== 'object' || instance === null) return undefined;
  const prototype = Object.getPrototypeOf(instance) as Partial<object> | null;
  const type = prototype?.constructor;
  const options =
    type && (Reflect.getOwnMetadata(LISTENER_METADATA, type) as SagaListenerOptions | undefined);
  if (!options) return undefined;
  const methods = scanner.getAllMethodNames(prototype);
  return {
    className: type.name,
    instance,
    hooks: HOOK_NAMES.filter((hook) => methods.includes(hook)),
    options,
    singleton: !wrapper.isTransient && wrapper.isDependencyTreeStatic(),
  };
}

function faultsOf({ className, hooks, options, singleton }: ListenerHost): DefinitionFault[] {
  const fault = (kind: DefinitionFaultKind, message: string) => ({ kind, message });
  const notes: string[] = [];
  section({ saga: (value) => value })(options, new Place(className, notes));
  const faults = notes.map((note) => fault('INVALID_OPTION', note));
  if (hooks.length === 0)
    faults.push(
      fault('INVALID_OPTION', `${className}: @SagaListener needs a method ${HOOK_NAMES.join(', ')}`),
    );
  if (!singleton) {
    const why =
      'it, or something it depends on, is request-scoped or transient; a saga outlives any request, so make it a singleton';
    faults.push(fault('NOT_SINGLETON', `${className} (${hooks.join(', ')}): ${why}`));
  }
  return faults;
}

function sagaName(
  { className, options: { saga } }: ListenerHost,
  registry: SagaRegistry,
  faults: DefinitionFault[],
): string | undefined {
  if (saga === undefined) return undefined;
  try {
    return registry.resolve(saga).name;
  } catch (error) {
    faults.push({ kind: 'UNKNOWN_SAGA', message: `${className}: ${errorText(error)}` });
    return undefined;
  }
}
