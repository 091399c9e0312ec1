/** What the pages point at is there: packages, commands, files. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import manifest from "../package.json" with { type: "json" };

const PAGES = globSync(["*.md", "{specs,cli,examples,bench,client}/**/*.md"]).map((path) => ({
	path,
	text: readFileSync(path, "utf8"),
}));

test("each dependency stands in the readme, with its reason", () => {
	const readme = readFileSync("README.md", "utf8");
	const table = readme.slice(readme.indexOf("## Dependencies, and why"));
	const packages = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies });
	expect(packages.filter((name) => !table.includes(`\`${name}\``))).toEqual([]);
});

test("each command that a page names is in package.json, and each of those is on a page", () => {
	const named = PAGES.flatMap(({ text }) =>
		[...text.matchAll(/\bnpm (?:run )?([a-z][\w:-]*)/g)].map(([, name]) => name),
	);
	const others = ["ci", "install", "run", "packages", "scripts"];
	const scripts = Object.keys(manifest.scripts);
	expect(named.filter((name) => name !== undefined && !scripts.includes(name) && !others.includes(name))).toEqual([]);
	expect(scripts.filter((name) => !named.includes(name))).toEqual([]);
});

test("each file and page that a page names is there", () => {
	const missing = PAGES.flatMap(({ path, text }) => {
		const links = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, to = ""]) => join(dirname(path), to));
		const files = [...text.matchAll(/`((?:[a-z-]+\/)+[\w.-]+\.(?:ts|js|md|toml|proto|json))`/g)].map(
			([, file = ""]) => file,
		);
		return [...links, ...files]
			.filter((to) => !existsSync(to) && !existsSync(join(dirname(path), to)))
			.map((to) => `${path}: ${to}`);
	});
	expect(missing).toEqual([]);
});
