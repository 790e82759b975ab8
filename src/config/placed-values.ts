/** Values of settings at the places in the configuration that their rows name. */
import type { Setting } from './setting.ts';
import {
  type SettingName,
  type SettingValues,
  settingNames,
  settingOf,
  type settings,
} from './table.ts';

/** Settings that stand in `Group` itself, by their property there. */
type Placed<Group extends string> = {
  readonly [Name in SettingName as Property<Group, Name>]: Placeable<Name>;
};

/** As {@link Placed}, without the settings that are not set. */
type Sparse<Group extends string> = {
  readonly [Name in SettingName as Property<Group, Name>]?: Exclude<Placeable<Name>, undefined>;
};

/** All settings with a place. */
export interface PlacedValues extends Placed<''> {
  readonly server: Placed<'server'> & {
    readonly limits: Placed<'server.limits'>;
    readonly queue: Placed<'server.queue'>;
    readonly tls: Placed<'server.tls'>;
  };
  readonly model: Placed<'model'>;
  readonly engine: Placed<'engine'> & {
    readonly speculative: Placed<'engine.speculative'>;
    readonly samplingDefaults: Sparse<'engine.samplingDefaults'>;
  };
  readonly auth: Placed<'auth'> & {
    readonly defaultLimits: Sparse<'auth.defaultLimits'>;
  };
  readonly supervision: Placed<'supervision'>;
  readonly log: Placed<'log'> & { readonly files: Placed<'log.files'> };
}

/** The {@link Sparse} groups of {@link PlacedValues}. */
const sparseGroups: readonly string[] = ['engine.samplingDefaults', 'auth.defaultLimits'];

/** Puts each value where its row says. */
export function placeValues(values: SettingValues): PlacedValues {
  const root: Record<string, unknown> = {};
  for (const name of settingNames) {
    const { at, none } = settingOf(name);
    if (at === undefined) continue;
    const value = values[name] === none ? undefined : values[name];
    const end = at.lastIndexOf('.');
    const groupPath = at.slice(0, Math.max(end, 0));
    const group = groupAt(root, groupPath);
    if (value === undefined && sparseGroups.includes(groupPath)) continue;
    group[at.slice(end + 1)] = value;
  }
  // The types above say of each row what the loop does with it.
  return root as unknown as PlacedValues;
}

function groupAt(root: Record<string, unknown>, path: string): Record<string, unknown> {
  let group = root;
  for (const name of path.split('.').filter(Boolean)) {
    group[name] ??= {};
    group = group[name] as Record<string, unknown>;
  }
  return group;
}

type Path<Name extends SettingName> = (typeof settings)[Name]['at'];

/** The property of a setting in a group; never for one that stands elsewhere. */
type Property<Group extends string, Name extends SettingName> = Group extends ''
  ? Exclude<Path<Name>, undefined | `${string}.${string}`>
  : Path<Name> extends `${Group}.${infer Key}`
    ? Exclude<Key, `${string}.${string}`>
    : never;

/** The value of a setting as it stands in the configuration. */
type Placeable<Name extends SettingName> =
  (typeof settings)[Name] extends Setting<infer _T, infer _Fallback, infer _At, infer None>
    ? [None] extends [never]
      ? SettingValues[Name]
      : Exclude<SettingValues[Name], None> | undefined
    : never;
