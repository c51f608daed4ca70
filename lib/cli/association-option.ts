/** The option that says how things are followed through a video. */
import { Option } from 'commander';
import { DEFAULTS } from '../options.js';
import { ASSOCIATIONS, type Tracking } from '../video/tracking.js';

export interface AssociationFlags {
  association?: Tracking['association'];
}

export const associationOption = (): Option =>
  new Option(
    '--association <kind>',
    `follow things by their regions, by their queries alone, or not (default: ${DEFAULTS.video.association})`,
  ).choices(ASSOCIATIONS);
