export function findBrokers(environment?: NodeJS.ProcessEnv): Promise<void>;
export function listens(port: number): Promise<boolean>;
