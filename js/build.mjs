// Makes the bundles.
//
//   node build.mjs           writes dist/
//   node build.mjs --check   says whether dist/ is what the sources make
//   node build.mjs --test    writes .build/, the modules one by one, for the tests of the insides

import { build } from "esbuild";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";

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
  write: false,
};
// Private members, by their underscore. Wire names are written in quotes, which keeps them.
const minified = { minify: true, mangleProps: /^_[a-z]/, mangleQuoted: false };

const bundles = [
  { entryPoints: ["src/umd.ts"], outfile: "dist/socket.io.js", format: "iife" },
  { entryPoints: ["src/umd.ts"], outfile: "dist/socket.io.min.js", format: "iife", ...minified },
  { entryPoints: ["src/index.ts"], outfile: "dist/socket.io.esm.min.js", format: "esm", ...minified },
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
    for (const file of (await build({ ...common, ...bundle })).outputFiles) made.set(basename(file.path), file.contents);
  }
  if (process.argv.includes("--check")) {
    let stale = 0;
    for (const [name, contents] of made) {
      const committed = await readFile(join(dist, name)).catch(() => Buffer.alloc(0));
      if (committed.equals(contents)) continue;
      console.error(`dist/${name} is not what the sources make: run npm run build`);
      stale++;
    }
    for (const name of await readdir(dist)) {
      if (made.has(name)) continue;
      console.error(`dist/${name} is made by nothing`);
      stale++;
    }
    process.exitCode = stale ? 1 : 0;
  } else {
    await mkdir(dist, { recursive: true });
    for (const [name, contents] of made) await writeFile(join(dist, name), contents);
  }
  for (const [name, contents] of made) {
    if (name.endsWith(".map")) continue;
    const sizes = [contents, gzipSync(contents, { level: 9 }), brotliCompressSync(contents)].map((each) => each.length);
    console.log(name.padEnd(22), ...sizes.map((each) => String(each).padStart(7)), " raw, gzip, brotli");
  }
}
