import { register } from 'node:module';

// `node --import …/run-typescript.mjs main.ts`: tests start the program as a process of its own, from its sources, so that it can be killed.
register('./typescript-hooks.mjs', import.meta.url);
