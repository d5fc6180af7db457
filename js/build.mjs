// Makes the bundles.
//
//   node build.mjs           writes dist/ and SIZES.md
//   node build.mjs --check   says whether dist/ is what the sources make
//   node build.mjs --test    writes .build/, the modules one by one, for the tests of the insides

import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, brotliDecompressSync, constants, gunzipSync, gzipSync } from "node:zlib";

const here = fileURLToPath(new URL(".", import.meta.url));
const dist = join(here, "dist");

const common = {
  absWorkingDir: here,
  bundle: true,
  // Browsers from 2018 on.
  target: "es2018",
  charset: "utf8",
  sourcemap: true,
  sourcesContent: true,
  legalComments: "none",
  banner: { js: "/*! Sockeye browser client | MIT OR Apache-2.0 */" },
  // `module` in umd.ts is meant: the bundle may be loaded by CommonJS.
  logOverride: { "commonjs-variable-in-esm": "silent" },
  // By hand, as files that a plugin resolved get no tsconfig.json.
  tsconfigRaw: { compilerOptions: { useDefineForClassFields: false, verbatimModuleSyntax: true } },
  write: false,
};
// Private members, by their underscore. Wire names are written in quotes, which keeps them.
const minified = { minify: true, mangleProps: /^_[a-z]/, mangleQuoted: false };
/** Puts one module in the place of another: the bundle has it instead, not beside it. */
const instead = (filter, path) => ({
  name: path,
  setup: ({ onResolve }) => onResolve({ filter }, () => ({ path: join(here, path) })),
});

const node = { target: "node18", platform: "node", sourcemap: false };
const bundles = [
  { entryPoints: ["src/umd.ts"], outfile: "dist/socket.io.js", format: "iife" },
  { entryPoints: ["src/umd.ts"], outfile: "dist/socket.io.min.js", format: "iife", ...minified },
  { entryPoints: ["src/index.ts"], outfile: "dist/socket.io.esm.min.js", format: "esm", ...minified },
  { entryPoints: ["src/msgpack/parser.ts"], outfile: "dist/msgpack-parser.js", format: "esm", ...minified },
  { entryPoints: ["src/umd.ts"], outfile: "dist/socket.io.msgpack.min.js", format: "iife", plugins: [instead(/socket\/parser\.js$/, "src/msgpack/parser.ts")], ...minified },
  {
    entryPoints: ["src/websocket-only.ts"],
    outfile: "dist/socket.io.websocket.esm.min.js",
    format: "esm",
    ...minified,
    plugins: [instead(/engine\/session\.js$/, "src/engine/direct.ts")],
  },
  { entryPoints: ["src/node.ts"], outfile: "dist/socket.io.node.mjs", format: "esm", ...node },
  { entryPoints: ["src/node-require.ts"], outfile: "dist/socket.io.node.cjs", format: "cjs", ...node },
];

if (process.argv.includes("--test")) {
  await build({
    absWorkingDir: here,
    entryPoints: (await readdir(join(here, "src"), { recursive: true })).filter((f) => f.endsWith(".ts")).map((f) => "src/" + f),
    outdir: ".build",
    format: "esm",
    target: "node20",
    logOverride: common.logOverride,
  });
} else {
  const made = new Map();
  for (const bundle of bundles) {
    for (const file of (await build({ ...common, ...bundle })).outputFiles) made.set(basename(file.path), Buffer.from(file.contents));
  }
  const served = [...made.keys()].filter((name) => name.startsWith("socket.io.") && !name.startsWith("socket.io.node"));
  const integrity = served.filter((name) => name.endsWith(".js")).map((name) => [name, "sha384-" + createHash("sha384").update(made.get(name)).digest("base64")]);
  made.set("integrity.json", Buffer.from(JSON.stringify(Object.fromEntries(integrity), null, 2) + "\n"));
  declarations(made);
  const sizes = await table(made);

  if (process.argv.includes("--check")) await check(made, served, sizes);
  else {
    await rm(dist, { recursive: true, force: true });
    for (const [name, contents] of made) {
      await mkdir(dirname(join(dist, name)), { recursive: true });
      await writeFile(join(dist, name), contents);
    }
    // What the server sends to browsers, packed once and for all.
    for (const name of served) {
      await writeFile(join(dist, name + ".gz"), gzip(made.get(name)));
      await writeFile(join(dist, name + ".br"), brotli(made.get(name)));
    }
    await writeFile(join(here, "SIZES.md"), sizes);
    console.log(sizes);
  }
}

function gzip(contents) {
  return gzipSync(contents, { level: 9 });
}

function brotli(contents) {
  return brotliCompressSync(contents, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: contents.length } });
}

/** Adds the declarations, which are made by the compiler itself. */
function declarations(made) {
  const out = mkdtempSync(join(tmpdir(), "sockeye-types-"));
  try {
    const tsc = join(here, "node_modules/typescript/bin/tsc");
    const options = ["-p", here, "--noEmit", "false", "--declaration", "--emitDeclarationOnly", "--outDir", out, "--rootDir", join(here, "src")];
    const { status, stdout } = spawnSync(process.execPath, [tsc, ...options, "--removeComments", "false"], { encoding: "utf8" });
    // The compiler finds test/types.ts outside of src/ and says so; what it finds wrong with it, `npm run check` tells.
    const files = readdirSync(out, { recursive: true }).filter((name) => name.endsWith(".d.ts"));
    if (!files.includes("index.d.ts")) throw new Error(`no declarations (status ${status}):\n${stdout}`);
    for (const name of files.sort()) made.set("types/" + name, readFileSync(join(out, name)));
  } finally {
    rmSync(out, { recursive: true });
  }
}

/** The sizes of our bundles beside those of npm socket.io-client. Fails if one is over its bound. */
async function table(made) {
  const official = join(here, "node_modules/socket.io-client");
  const { version } = JSON.parse(await readFile(join(official, "package.json"), "utf8"));
  const rows = [
    ["socket.io.js", "socket.io.js", undefined],
    ["socket.io.min.js", "socket.io.min.js", 11000],
    ["socket.io.esm.min.js", "socket.io.esm.min.js", 10000],
    ["socket.io.msgpack.min.js", "socket.io.msgpack.min.js", undefined],
    ["socket.io.websocket.esm.min.js", undefined, 6500],
  ];
  const sizes = (contents) => [contents, gzip(contents), brotli(contents)].map((each) => each.length);
  const lines = [];
  for (const [name, counterpart, bound] of rows) {
    const ours = sizes(made.get(name));
    if (bound && ours[1] > bound) {
      console.error(`${name} has ${ours[1]} bytes by gzip; its bound is ${bound}`);
      process.exitCode = 1;
    }
    const theirs = counterpart && sizes(await readFile(join(official, "dist", counterpart)));
    const less = theirs ? `−${(100 - (100 * ours[1]) / theirs[1]).toFixed(0)} %` : "–";
    lines.push(`| \`${name}\` | ${ours.join(" | ")} | ${theirs ? theirs.join(" | ") : "– | – | –"} | ${less} | ${bound ?? "–"} |`);
  }
  return `# Sizes of the bundles

Written by \`npm run build\`; bytes. The official ones are those of npm socket.io-client ${version}, packed by the same gzip
(level 9) and brotli (quality 11). "less" compares by gzip. The build fails when a bundle is over its bound.

| bundle | ours | gzip | brotli | official | gzip | brotli | less | bound (gzip) |
|---|--:|--:|--:|--:|--:|--:|--:|--:|
${lines.join("\n")}
`;
}

/** Compares dist/ and SIZES.md with what the sources make. Packed files are unpacked: zlib differs from Node to Node. */
async function check(made, served, sizes) {
  const stale = (what) => {
    console.error(`${what}: run npm run build`);
    process.exitCode = 1;
  };
  const committed = (name) => readFile(join(dist, name)).catch(() => Buffer.alloc(0));
  const known = new Set(made.keys());
  for (const [name, contents] of made) {
    if (!(await committed(name)).equals(contents)) stale(`dist/${name} is not what the sources make`);
  }
  for (const name of served) {
    for (const [suffix, unpack] of [[".gz", gunzipSync], [".br", brotliDecompressSync]]) {
      known.add(name + suffix);
      try {
        if (unpack(await committed(name + suffix)).equals(made.get(name))) continue;
      } catch {
        // Not packed at all.
      }
      stale(`dist/${name}${suffix} is not dist/${name}`);
    }
  }
  for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    const name = relative(dist, join(entry.parentPath ?? entry.path, entry.name));
    if (entry.isFile() && !known.has(name)) stale(`dist/${name} is made by nothing`);
  }
  // Raw sizes only, for the same reason.
  const raw = (text) => text.match(/^\| `[^|]*\| \d+/gm)?.join();
  const written = await readFile(join(here, "SIZES.md"), "utf8").catch(() => "");
  if (raw(written) !== raw(sizes)) stale("SIZES.md is old");
}
