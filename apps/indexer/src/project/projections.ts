import { actors } from './actors.js';
import { anchors } from './anchors.js';
import { grants } from './grants.js';
import { hospitals } from './hospitals.js';
import type { Projection } from './projection.js';
import { recordVersions } from './record-versions.js';
import { records } from './records.js';
import { relations } from './relations.js';
import { relayers } from './relayers.js';
import { teamMembers } from './team-members.js';
import { transfers } from './transfers.js';

/** Every projection of the mirror. A new one is a file beside these, its table in a migration, and a line here. */
export const projections = [
  records,
  recordVersions,
  relations,
  grants,
  transfers,
  actors,
  teamMembers,
  hospitals,
  relayers,
  anchors,
] as unknown as readonly Projection[];
