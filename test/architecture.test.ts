/** The rules of ARCHITECTURE.md that a reader of one file cannot see: arrows, sizes, words. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Files of the working tree that git does not ignore. */
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((name) => name !== '' && existsSync(join(root, name)));

const text = (name: string): string => readFileSync(join(root, name), 'utf8');
const matching = (pattern: RegExp): string[] => files.filter((name) => pattern.test(name));

/** What a TypeScript file imports or re-exports; `atRunTime` leaves out what is only types. */
function specifiersOf(name: string, atRunTime = false): string[] {
  const source = ts.createSourceFile(name, text(name), ts.ScriptTarget.Latest);
  return source.statements.flatMap((statement) => {
    if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) return [];
    const { moduleSpecifier } = statement;
    if (!moduleSpecifier || !ts.isStringLiteral(moduleSpecifier)) return [];
    return atRunTime && isOnlyTypes(statement) ? [] : [moduleSpecifier.text];
  });
}

function isOnlyTypes(statement: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  if (ts.isExportDeclaration(statement)) return statement.isTypeOnly;
  const clause = statement.importClause;
  if (!clause) return false;
  if (clause.isTypeOnly) return true;
  const named = clause.namedBindings;
  if (clause.name || !named || !ts.isNamedImports(named)) return false;
  return named.elements.every((element) => element.isTypeOnly);
}

/** As {@link specifiersOf}, for files of this repository, as paths from the root. */
function importsOf(name: string, atRunTime = false): string[] {
  return specifiersOf(name, atRunTime)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => posix.join(posix.dirname(name), specifier).replace(/\.js$/, '.ts'));
}

describe('arrows in lib', () => {
  const sources = matching(/^lib\/.*\.ts$/);
  const importersOf = (target: string): string[] =>
    sources.filter((name) => importsOf(name).includes(target));

  it('has only native.ts import the loader', () => {
    expect(importersOf('lib/loader.ts')).toEqual(['lib/native.ts']);
  });

  it('has nothing import the command line, and only the command line import the doctor', () => {
    const importers = sources.filter((name) =>
      importsOf(name).some((path) => path.startsWith('lib/cli/')),
    );
    expect(importers.filter((name) => !name.startsWith('lib/cli/'))).toEqual([]);
    const doctors = importersOf('lib/doctor.ts');
    expect(doctors.filter((name) => !/^lib\/(cli\/|doctor-probe)/.test(name))).toEqual([]);
  });

  it('keeps the search for LibTorch below everything but locks, folders and errors', () => {
    for (const name of sources.filter((path) => path.startsWith('lib/libtorch/'))) {
      const allowed = /^lib\/(libtorch\/|(lock|make-folder|errors)\.ts)/;
      expect(importsOf(name).filter((path) => !allowed.test(path))).toEqual([]);
    }
  });

  it('has data sets know nothing of networks, and training nothing of data sets', () => {
    const of = (folder: string) => sources.filter((name) => name.startsWith(`lib/${folder}/`));
    const into = (folder: string, pattern: RegExp) =>
      of(folder).flatMap((name) => importsOf(name, true).filter((path) => pattern.test(path)));
    expect(into('data', /^lib\/(segmenter|evaluation\/|training\/(?!batch))/)).toEqual([]);
    expect(into('training', /^lib\/(segmenter|data\/|evaluation\/)/)).toEqual([]);
  });

  it('has index.ts hold exports and nothing else', () => {
    const code = text('lib/index.ts').replace(/\/\*[\s\S]*?\*\//g, '');
    const statements = code.split(';').map((statement) => statement.trim());
    expect(statements.filter((line) => line !== '' && !/^(export|import)\b/.test(line))).toEqual(
      [],
    );
  });

  it('has no circular imports', () => {
    // A type-only import leaves nothing at run time, so it closes no circle.
    const graph = new Map(sources.map((name) => [name, importsOf(name, true)]));
    expect(findCircle(graph)).toBeNull();
  });

  it('imports no package that package.json does not name', () => {
    const { dependencies } = JSON.parse(text('package.json'));
    const foreign = sources.flatMap((name) =>
      specifiersOf(name)
        .filter((specifier) => !/^(\.|node:)/.test(specifier))
        .filter((specifier) => !(packageOf(specifier) in dependencies))
        .map((specifier) => `${name}: ${specifier}`),
    );
    expect(foreign).toEqual([]);
  });
});

/** `name` or `@scope/name` of `name/some/file`. */
const packageOf = (specifier: string): string =>
  specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');

/** A chain of imports that returns to where it began, or null. */
function findCircle(graph: ReadonlyMap<string, readonly string[]>): string[] | null {
  const done = new Set<string>();
  const visit = (name: string, chain: string[]): string[] | null => {
    if (chain.includes(name)) return [...chain.slice(chain.indexOf(name)), name];
    if (done.has(name)) return null;
    for (const next of graph.get(name) ?? []) {
      const circle = visit(next, [...chain, name]);
      if (circle) return circle;
    }
    done.add(name);
    return null;
  };
  for (const name of graph.keys()) {
    const circle = visit(name, []);
    if (circle) return circle;
  }
  return null;
}

describe('arrows in native', () => {
  const sources = matching(/^native\/.*\.(h|cpp|cu|cuh)$/);
  const including = (pattern: RegExp): string[] =>
    sources.filter((name) =>
      [...text(name).matchAll(/#include\s*[<"]([^>"]+)[>"]/g)].some(([, path]) =>
        pattern.test(String(path)),
      ),
    );

  it('has only the addon and the loader know Node', () => {
    const users = including(/^(napi|node_api|js_native_api|v8|node)\.h$|^napi-/);
    expect(users.filter((name) => !/^native\/(addon|loader)\//.test(name))).toEqual([]);
    const wrappers = including(/^napi(-inl)?\.h$/);
    expect(wrappers.filter((name) => !name.startsWith('native/addon/'))).toEqual([]);
  });

  it('has core include ops and never the addon, and ops include neither', () => {
    const into = (folder: string) => new RegExp(`^(\\.\\./)*(native/)?${folder}/`);
    const in_ = (folder: string, names: string[]) =>
      names.filter((name) => name.startsWith(`native/${folder}/`));
    expect(in_('core', including(into('addon')))).toEqual([]);
    expect(in_('ops', including(into('addon')))).toEqual([]);
    expect(in_('ops', including(into('core')))).toEqual([]);
  });

  it('names TorchScript only in the files that load, fold, freeze and export a module', () => {
    const header =
      /#include\s*<torch\/(script|jit|csrc\/jit\/(?!frontend\/function_schema_parser))/;
    const type = /\btorch::jit::(?!parseSchema)/;
    const users = sources.filter((name) => header.test(text(name)) || type.test(text(name)));
    const bare = users.map((name) => name.replace(/\.(h|cpp)$/, ''));
    const four = ['network', 'norm_folding', 'script_module', 'training_program'];
    expect([...new Set(bare)].sort()).toEqual(four.map((name) => `native/core/${name}`));
  });
});

describe('arrows in models', () => {
  const parts = matching(/^models\/lexiseg_models\/parts\/.*\.py$/);

  it('has parts import nothing above them', () => {
    const above =
      /^\s*(from|import)\s+(\.\.|lexiseg_models\.)(methods|objectives|convert|export)\b/m;
    expect(parts.length).toBeGreaterThan(0);
    expect(parts.filter((name) => above.test(text(name)))).toEqual([]);
  });
});

describe('words', () => {
  it('names no published method in shared code', () => {
    const shared = matching(/^(lib|native|models\/lexiseg_models\/(parts|objectives|export))\//);
    // The shipped bundle's file name and the words of a comment that cites a paper are no branches.
    const branch = /\b(fc_clip|FcClip|fcClip|ovseg|OvSeg|OVSeg|pacl|Pacl|gkc|Gkc)\b/;
    const offenders = shared.filter((name) => !/\.gz$/.test(name) && branch.test(text(name)));
    expect(offenders).toEqual([]);
  });

  it('has no file that is named for holding whatever is left over', () => {
    const vague = /(^|[/._-])(utils?|helpers?|misc|common|legacy|v2)([/._-]|$)/i;
    // Declarations of a library's headers bear its own names.
    const code = matching(/\.(ts|mjs|py|h|cpp|cu|cuh|sh)$/).filter(
      (name) => !name.includes('/declared/'),
    );
    expect(code.filter((name) => vague.test(name))).toEqual([]);
  });
});

describe('sizes', () => {
  const CAPS: [pattern: RegExp, lines: number][] = [
    [/^(lib|scripts)\/.*\.(ts|mjs)$/, 300],
    [/^models\/.*\.py$/, 300],
    [/^native\/ops\/.*\.(cpp|cu)$/, 600],
    [/^native\/(addon|core|loader)\/.*\.(h|cpp)$/, 400],
    [/^test\/(?!fixtures\/).*\.(ts|mjs|py|h|cpp)$/, 400],
  ];

  it('keeps every file on a few screens', () => {
    const long = CAPS.flatMap(([pattern, cap]) =>
      matching(pattern)
        .map((name) => ({ name, lines: text(name).split('\n').length - 1, cap }))
        .filter(({ lines }) => lines > cap),
    );
    expect(long).toEqual([]);
  });
});
