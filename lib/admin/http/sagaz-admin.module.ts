import {
  Controller,
  Module,
  UseGuards,
  type CanActivate,
  type DynamicModule,
  type ModuleMetadata,
  type Type,
} from '@nestjs/common';
import { bool, callable, Place, section, text } from '../../runtime/readers.js';
import { AdminUnguardedError, SagazOptionsError } from '../../saga/state/errors.js';
import { ACTOR_READER, actorReader, type RequestActor } from './admin-actor.js';
import { tagged } from './documented.js';
import { EventsController } from './events.controller.js';
import { SagasController } from './sagas.controller.js';

export interface SagazAdminOptions {
  /** Where the routes are, below the global prefix. Default `'sagaz'`. */
  path?: string | undefined;
  /** Who may use them: classes, or instances. Needed, unless `public` is said. */
  guards?: readonly (Type<CanActivate> | CanActivate)[] | undefined;
  /** True leaves the routes to whoever reaches them, such as on a port of its own that only operators reach. Default false. */
  public?: boolean | undefined;
  /** Modules that have what the guards inject. */
  imports?: ModuleMetadata['imports'];
  /**
   * Who sends a request, for the audit, as the guards have noted it on it; a change by nobody is refused. Without this option
   * the body of every change has to say it: `actor`.
   */
  actor?: RequestActor | undefined;
}

const NAME = 'SagazAdminModule';

/** The actions of `SagaAdmin` and `OutboxAdmin` over HTTP, behind guards. Import it beside `SagazModule`. */
@Module({})
export class SagazAdminModule {
  /**
   * @throws AdminUnguardedError without guards, unless `public: true` is said; SagazOptionsError with every fault. Both
   * where the module is declared, before anything starts.
   */
  static register(options: SagazAdminOptions): DynamicModule {
    const { path, actor, isPublic } = read(options);
    const guards = [...(options.guards ?? [])];
    if (guards.length === 0 && !isPublic)
      throw new AdminUnguardedError(
        `${NAME}.register: without guards anybody could cancel sagas and discard events; give it guards, or say public: true`,
      );
    return {
      module: SagazAdminModule,
      imports: options.imports ?? [],
      controllers: [SagasController, EventsController].map((it) => mounted(it, path, guards)),
      providers: [{ provide: ACTOR_READER, useValue: actorReader(actor) }],
    };
  }
}

const readOptions = section({
  path: text(),
  public: bool(false),
  actor: callable<RequestActor>(),
  guards: (value: unknown, place: Place) => {
    if (value === undefined || (Array.isArray(value) && value.every(Boolean))) return value;
    return place.expected<unknown>('a list of guards, none of which is undefined', value, undefined);
  },
  imports: (value: unknown) => value,
});

function read(options: unknown) {
  const faults: string[] = [];
  const { path = 'sagaz', public: isPublic, actor } = readOptions(options, new Place('', faults));
  if (faults.length > 0) throw new SagazOptionsError(faults, NAME);
  return { path, isPublic, actor };
}

/** A class of its own, so that one application may have the routes twice, and no other sees its path and guards. */
function mounted(base: Type, path: string, guards: (Type<CanActivate> | CanActivate)[]): Type {
  const Mounted = class extends base {};
  Object.defineProperty(Mounted, 'name', { value: base.name });
  Controller(path)(Mounted);
  if (guards.length > 0) UseGuards(...guards)(Mounted);
  tagged(Mounted);
  return Mounted;
}
