import type { DiscoveryService, MetadataScanner } from '@nestjs/core';
import type { CompensateOptions, SagaOptions, StepOptions } from '../saga/definition/saga-options.js';
import type { SagaRef } from '../saga/definition/saga-types.js';
import { COMPENSATE_METADATA, SAGA_METADATA, STEP_METADATA } from '../sagaz.tokens.js';

type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];
type Method = (context: unknown) => unknown;

export interface FoundStep {
  readonly method: string;
  readonly options: StepOptions & { saga?: SagaRef };
}

export interface FoundCompensation {
  readonly method: string;
  readonly step: string;
  readonly options: CompensateOptions & { saga?: SagaRef };
}

/** A provider or controller with saga decorators on it. */
export interface SagaHost {
  readonly type: new (...args: never[]) => object;
  readonly className: string;
  readonly moduleName: string;
  /** False when Nest makes several instances of it: a saga has none of its own to run on. */
  readonly singleton: boolean;
  readonly saga: SagaOptions | undefined;
  readonly steps: readonly FoundStep[];
  readonly compensations: readonly FoundCompensation[];
  readonly methods: readonly string[];
  /** Calls a method of the one instance. */
  call(method: string, context: unknown): unknown;
}

/** Finds the hosts among all providers and controllers. Reads methods from the prototype: a getter is never touched. */
export function findHosts(discovery: DiscoveryService, scanner: MetadataScanner): readonly SagaHost[] {
  const wrappers = [...discovery.getProviders(), ...discovery.getControllers()].filter((it) => !it.isAlias);
  return wrappers.map((wrapper) => asHost(wrapper, scanner)).filter((host) => host !== undefined);
}

function asHost(wrapper: Wrapper, scanner: MetadataScanner): SagaHost | undefined {
  const found = classOf(wrapper.instance);
  if (!found) return undefined;
  const { prototype, type } = found;
  const methods = scanner.getAllMethodNames(prototype);
  const saga = Reflect.getOwnMetadata(SAGA_METADATA, type) as SagaOptions | undefined;
  const steps = methods.flatMap((method) => stepAt(prototype, method));
  const compensations = methods.flatMap((method) => compensationAt(prototype, method));
  if (!saga && steps.length === 0 && compensations.length === 0) return undefined;
  return {
    type,
    className: type.name,
    moduleName: wrapper.host?.metatype.name ?? 'unknown module',
    singleton: !wrapper.isTransient && wrapper.isDependencyTreeStatic(),
    saga,
    steps,
    compensations,
    methods,
    call: (method, context) => (wrapper.instance as Record<string, Method>)[method]?.(context),
  };
}

/** Of a request-scoped provider too: Nest keeps an object with its prototype. */
function classOf(
  instance: unknown,
): { prototype: Record<string, unknown>; type: SagaHost['type'] } | undefined {
  if (typeof instance !== 'object' || instance === null) return undefined;
  const prototype = Object.getPrototypeOf(instance) as Record<string, unknown> | null;
  const type = prototype?.constructor as SagaHost['type'] | undefined;
  return prototype && type && type !== (Object as unknown) ? { prototype, type } : undefined;
}

function stepAt(prototype: Record<string, unknown>, method: string): FoundStep[] {
  const options = metadata<FoundStep['options']>(STEP_METADATA, prototype, method);
  return options ? [{ method, options }] : [];
}

function compensationAt(prototype: Record<string, unknown>, method: string): FoundCompensation[] {
  const found = metadata<Omit<FoundCompensation, 'method'>>(COMPENSATE_METADATA, prototype, method);
  return found ? [{ method, ...found }] : [];
}

function metadata<T>(key: symbol, prototype: Record<string, unknown>, method: string): T | undefined {
  return Reflect.getMetadata(key, prototype[method] as object) as T | undefined;
}
