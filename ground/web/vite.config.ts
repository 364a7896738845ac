import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig } from "vitest/config";
import type { Plugin } from "vite";

/** Lays a `.gz` beside every built file, which the ground serves as it is: a narrow link carries a third of the bytes. */
function compress(): Plugin {
  let folder = "";
  return {
    name: "compress",
    apply: "build",
    configResolved: (config) => { folder = join(config.root, config.build.outDir); },
    closeBundle() {
      for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
        const path = join(folder, name);
        if (!/\.gz$|^\./.test(name) && statSync(path).isFile()) {
          writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
        }
      }
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [compress()],
  build: {
    target: "es2022",
    // The ground's content security policy allows no data: URLs but for images.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    // `npm run dev` beside a ground: TERN_GROUND=http://127.0.0.1:8080
    proxy: Object.fromEntries(["/ws", "/api"].map((path) => [path, {
      target: process.env["TERN_GROUND"] ?? "http://127.0.0.1:8080",
      ws: true,
    }])),
  },
  test: {
    // The browser's tests share one machine with the processes that they watch.
    fileParallelism: false,
    projects: [
      { test: { name: "unit", include: ["client/src/**/*.test.ts", "src/**/*.test.ts"] } },
      {
        test: {
          name: "browser",
          include: ["tests/browser/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
