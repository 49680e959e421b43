// Runs the end-to-end tests: node run.mjs BUILD_DIR [FILE...]
//
// BUILD_DIR has the programs tests/e2e_server and examples/chat. Without files all *.test.mjs run.
// The last line is "N passed, M failed".
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { run } from "node:test";
import { spec as Spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const [buildDir, ...names] = process.argv.slice(2);
if (!buildDir) {
  console.error("usage: node run.mjs BUILD_DIR [FILE...]");
  process.exit(2);
}
for (const [name, dir] of [["tests/e2e", here], ["examples/chat", path.join(here, "../../examples/chat")]]) {
  if (existsSync(path.join(dir, "node_modules"))) continue;
  console.error(`${name} lacks its npm packages: npm ci --prefix ${name}`);
  process.exit(2);
}

process.env.BUILD_DIR = path.resolve(buildDir);
const files = names.length
  ? names.map((name) => path.resolve(existsSync(name) ? name : path.join(here, name)))
  : readdirSync(here).filter((name) => name.endsWith(".test.mjs")).map((name) => path.join(here, name));

// A suite or a file that failed because of a test in it is no failure of its own.
const ofChildren = new Set(["subtestsFailed", "suiteFailed"]);
const count = { passed: 0, failed: 0, skipped: 0 };
const isTest = ({ details, file, name }) => details.type !== "suite" && path.resolve(name) !== file;

// One file at a time: many tests depend on short times.
const stream = run({ files, concurrency: 1, timeout: Infinity });
stream.on("test:pass", (test) => {
  if (!isTest(test)) return;
  if (test.skip !== undefined) count.skipped += 1;
  else count.passed += 1;
});
stream.on("test:fail", (test) => {
  if (!ofChildren.has(test.details.error?.failureType)) count.failed += 1;
});
stream.on("end", () => {
  process.on("exit", () => {
    if (count.skipped) console.log(`${count.skipped} skipped`);
    console.log(`${count.passed} passed, ${count.failed} failed`);
  });
  process.exitCode = count.failed === 0 && count.passed > 0 ? 0 : 1;
});
stream.compose(new Spec()).pipe(process.stdout);
