export { SagazAdminModule, type SagazAdminOptions } from './admin/http/sagaz-admin.module.js';
export type { RequestActor } from './admin/http/admin-actor.js';
