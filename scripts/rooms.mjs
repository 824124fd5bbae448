#!/usr/bin/env node
/**
 * Holds the rooms of src/ to their order: imports run downwards, rooms on one level never import each other, and
 * below control and emulator there is no hidden clock, randomness, environment or I/O.
 *
 *   node scripts/rooms.mjs [SRC]    prints file:line: what is wrong; exit 1 when there is something
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, posix, relative, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { root } from './support.mjs';

/** From the ground up. */
const floors = [
  ['model'],
  ['wire'],
  ['pipeline', 'config'],
  ['ike', 'ha', 'lb', 'crypto', 'routing', 'security'],
  ['node'],
  ['control', 'emulator'],
  ['cli', 'web'],
];
const floorOf = new Map(floors.flatMap((rooms, floor) => rooms.map((room) => [room, floor])));
const firstWithTheWorld = floorOf.get('control');

/** What a pure room is handed instead of taking it. The pipeline runs threads, so it may import more. */
const worldModules = new Set(
  [
    'fs',
    'fs/promises',
    'net',
    'dgram',
    'tls',
    'http',
    'https',
    'http2',
    'dns',
    'child_process',
    'cluster',
    'process',
  ].concat(['timers', 'timers/promises', 'perf_hooks', 'readline', 'os', 'worker_threads', 'module']),
);
const pipelineMay = new Set(['os', 'worker_threads', 'module', 'perf_hooks']);
const worldCalls = new Set(['setTimeout', 'setInterval', 'setImmediate', 'fetch']);
const worldMembers = new Set([
  'Date.now',
  'Math.random',
  'performance.now',
  'process.env',
  'process.hrtime',
  'process.uptime',
  'crypto.randomBytes',
  'crypto.randomUUID',
  'crypto.getRandomValues',
]);
const worldNames = new Set(['randomBytes', 'randomUUID', 'randomInt', 'getRandomValues', 'randomFillSync']);

/** Every problem in the TypeScript below src, as `file:line: what`. */
export function checkRooms(src = join(root, 'src')) {
  return sourcesBelow(src).flatMap((file) => checkFile(src, relative(src, file).split(sep).join('/')));
}

function sourcesBelow(directory) {
  return readdirSync(directory)
    .sort()
    .flatMap((name) => {
      const path = join(directory, name);
      if (statSync(path).isDirectory()) return sourcesBelow(path);
      return name.endsWith('.ts') ? [path] : [];
    });
}

function checkFile(src, file) {
  if (!file.includes('/')) return []; // index.ts, the public API
  const room = file.slice(0, file.indexOf('/'));
  const floor = floorOf.get(room);
  if (floor === undefined)
    return [`src/${file}:1: no room ${room}; rooms are ${[...floorOf.keys()].join(', ')}`];
  const source = ts.createSourceFile(
    file,
    readFileSync(join(src, file), 'utf8'),
    ts.ScriptTarget.Latest,
    true,
  );
  const problems = [];
  const report = (node, text) => {
    const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
    problems.push(`src/${file}:${line + 1}: ${text}`);
  };
  const visit = (node) => {
    const module = importedModule(node);
    if (module !== undefined) checkImport(file, room, floor, module, (text) => report(node, text));
    if (floor < firstWithTheWorld && room !== 'pipeline') checkPurity(node, (text) => report(node, text));
    ts.forEachChild(node, visit);
  };
  visit(source);
  return problems;
}

/** What an import, a re-export, import() or import type names. */
function importedModule(node) {
  const literal =
    ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
      ? node.moduleSpecifier
      : ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
        ? node.arguments[0]
        : ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)
          ? node.argument.literal
          : undefined;
  return literal !== undefined && ts.isStringLiteralLike(literal) ? literal.text : undefined;
}

function checkImport(file, room, floor, module, report) {
  if (!module.startsWith('.')) {
    const builtIn = module.replace(/^node:/, '');
    if (room === 'model') report(`model imports nothing, not ${module}`);
    else if (
      floor < firstWithTheWorld &&
      worldModules.has(builtIn) &&
      !(room === 'pipeline' && pipelineMay.has(builtIn))
    ) {
      report(`${room} is pure: what ${module} gives must be handed in`);
    }
    return;
  }
  const target = posix.join(posix.dirname(file), module);
  const targetRoom = target.slice(0, target.indexOf('/'));
  if (targetRoom === room) return;
  const targetFloor = floorOf.get(targetRoom);
  if (targetFloor === undefined) report(`imports ${target}, which is in no room`);
  else if (targetFloor > floor) report(`${room} imports ${targetRoom}, which is above it`);
  else if (targetFloor === floor) report(`${room} imports ${targetRoom}, which is on its own level`);
}

function checkPurity(node, report) {
  if (ts.isPropertyAccessExpression(node)) {
    const name = `${node.expression.getText()}.${node.name.text}`;
    if (worldMembers.has(name.replace(/^globalThis\./, '')))
      report(`${name}: a pure room is handed the world`);
  } else if (ts.isCallExpression(node) && ts.isIdentifier(node.expression)) {
    const name = node.expression.text;
    if (worldCalls.has(name) || worldNames.has(name)) report(`${name}(): a pure room is handed the world`);
  } else if (ts.isNewExpression(node) && node.expression.getText() === 'Date' && !node.arguments?.length) {
    report('new Date(): a pure room is handed the clock');
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const problems = checkRooms(process.argv[2]);
  for (const problem of problems) console.log(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
