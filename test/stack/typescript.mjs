// `node --import ./test/stack/typescript.mjs file.ts`: lets a test start a child process from the sources, without a build.
import { register } from 'node:module';

register('./typescript.hooks.mjs', import.meta.url);
