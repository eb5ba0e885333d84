//! The structure of the sources: files that can be read in one sitting, and no tangle of imports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of the longest file, tests included.
const LONGEST: usize = 600;
/// Files that may import each other.
const LARGEST_CIRCLE: usize = 2;

const CRATES: [&str; 4] = ["protocol", "device-models", "server", "client-tests"];

/// A module's path below `crate`.
type Module = Vec<String>;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_can_be_read_in_one_sitting() {
    let files = all_sources();
    let long = files.iter().filter_map(|path| {
        let lines = fs::read_to_string(path).unwrap().lines().count();
        (lines > LONGEST).then(|| format!("{}: {lines} lines", path.display()))
    });
    assert_eq!(long.collect::<Vec<_>>(), [""; 0]);
}

/// The files of all crates, tests included.
fn all_sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for name in CRATES {
        for folder in ["src", "tests", "benches", "examples"] {
            sources(&root().join(name).join(folder), &mut files);
        }
    }
    assert!(files.len() > 300, "the sources are elsewhere");
    files
}

/// A doc comment begins with a noun or a verb, not with a clause that has lost its head.
#[test]
fn no_doc_comment_begins_with_a_question() {
    let question = |text: &str| {
        let doc = text.strip_prefix("///").or(text.strip_prefix("//!"));
        doc.is_some_and(|doc| {
            ["What", "Whether", "Who", "Where", "How", "Why"]
                .contains(&doc.split(' ').nth(1).unwrap_or_default())
        })
    };
    let mut found = Vec::new();
    for path in all_sources() {
        let text = fs::read_to_string(&path).unwrap();
        let mut before = "";
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            let begins = !before.starts_with("///") && !before.starts_with("//!");
            if begins && question(line) {
                found.push(format!("{}:{number}: {line}", path.display()));
            }
            before = line;
        }
    }
    assert_eq!(found, [""; 0]);
}

/// The modules of a crate with the text of each, but for tests.
fn modules(name: &str) -> BTreeMap<Module, String> {
    let src = root().join(name).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let module = |path: &PathBuf| -> Option<(Module, String)> {
        let relative = path.strip_prefix(&src).unwrap().with_extension("");
        let parts = relative
            .iter()
            .map(|part| part.to_str().unwrap().to_owned());
        let mut module: Module = parts.collect();
        if module == ["lib"] || module == ["main"] {
            module.clear();
        }
        let is_test = |part: &String| part == "tests" || part.ends_with("_tests");
        let program = module.first().is_some_and(|first| first == "bin");
        (!program && !module.iter().any(is_test))
            .then(|| (module, fs::read_to_string(path).unwrap()))
    };
    files.iter().filter_map(module).collect()
}

/// The paths that a file's `use` declarations name, spelt out.
fn imports(text: &str) -> Vec<Vec<String>> {
    let code: String = text
        .lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = Vec::new();
    for statement in code.split(';') {
        let Some(at) = statement.rfind("use ") else {
            continue;
        };
        let before = statement[..at].trim_end();
        let starts = before.is_empty() || before.ends_with(['}', '{', ')', ']', 'b']);
        if starts {
            let tree: String = statement[at + 4..].split_whitespace().collect();
            spell_out(&tree, &[], &mut found);
        }
    }
    found
}

/// Spells a tree of paths out: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn spell_out(tree: &str, prefix: &[String], found: &mut Vec<Vec<String>>) {
    let Some(open) = tree.find('{') else {
        let path = tree.split("::").map(str::to_owned);
        found.push(prefix.iter().cloned().chain(path).collect());
        return;
    };
    let head = tree[..open].trim_end_matches("::");
    let mut prefix = prefix.to_vec();
    prefix.extend(
        head.split("::")
            .filter(|part| !part.is_empty())
            .map(str::to_owned),
    );
    let inner = tree[open + 1..].trim_end_matches('}');
    let (mut depth, mut start) = (0, 0);
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                spell_out(&inner[start..at], &prefix, found);
                start = at + 1;
            }
            _ => {}
        }
    }
    let closing = "}".repeat(usize::try_from(depth).unwrap_or(0));
    let last = format!("{}{closing}", &inner[start..]);
    if !last.is_empty() {
        spell_out(&last, &prefix, found);
    }
}

/// The module that a path used in `module` leads to.
fn target<'m>(
    path: &[String],
    module: &Module,
    modules: &'m BTreeMap<Module, String>,
) -> Option<&'m Module> {
    let mut at = module.clone();
    let mut rest = path;
    match rest.first()?.as_str() {
        "crate" => at.clear(),
        "self" => {}
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                at.pop();
                rest = &rest[1..];
            }
            rest = path.get(path.len() - rest.len() - 1..)?;
        }
        // A module declared in this file.
        _ => {
            let child = [module.clone(), vec![path[0].clone()]].concat();
            if !modules.contains_key(&child) {
                return None;
            }
            rest = path;
            at.extend([]);
            let full = [at, rest.to_vec()].concat();
            return longest(&full, modules);
        }
    }
    let full = [at, rest[1..].to_vec()].concat();
    longest(&full, modules)
}

fn longest<'m>(path: &[String], modules: &'m BTreeMap<Module, String>) -> Option<&'m Module> {
    (0..=path.len())
        .rev()
        .find_map(|len| modules.get_key_value(&path[..len]))
        .map(|(module, _)| module)
}

/// The modules that can be reached from one.
fn reached<'m>(
    from: &'m Module,
    edges: &BTreeMap<&'m Module, BTreeSet<&'m Module>>,
) -> BTreeSet<&'m Module> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        for next in edges.get(module).into_iter().flatten() {
            if seen.insert(*next) {
                open.push(next);
            }
        }
    }
    seen
}

/// A module below another one extends it: what they take from each other is not counted.
#[test]
fn no_more_than_two_files_import_each_other() {
    let mut tangles = Vec::new();
    let mut counted = 0;
    for name in CRATES {
        let modules = modules(name);
        let mut edges: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
        for (module, text) in &modules {
            for path in imports(text) {
                if let Some(other) = target(&path, module, &modules)
                    && !module.starts_with(other)
                    && !other.starts_with(module)
                {
                    edges.entry(module).or_default().insert(other);
                    counted += 1;
                }
            }
        }
        let reach: BTreeMap<_, _> = modules.keys().map(|m| (m, reached(m, &edges))).collect();
        let mut circles = BTreeSet::new();
        for (module, others) in &reach {
            let circle: BTreeSet<_> = others
                .iter()
                .filter(|other| reach[**other].contains(*module))
                .map(|other| other.join("::"))
                .collect();
            if circle.len() > LARGEST_CIRCLE {
                circles.insert(circle);
            }
        }
        tangles.extend(circles.into_iter().map(|circle| (name, circle)));
    }
    assert!(counted > 500, "imports were not read: {counted}");
    assert!(tangles.is_empty(), "{tangles:#?}");
}

#[test]
fn imports_are_read_as_the_compiler_reads_them() {
    let text = "use crate::a::{self, b, c::{d, e}};\nuse super::f as g;\nlet x = 1; // use no;\npub(super) use h::i;\n";
    let spelt: Vec<String> = imports(text).iter().map(|path| path.join("::")).collect();
    let expected = [
        "crate::a::self",
        "crate::a::b",
        "crate::a::c::d",
        "crate::a::c::e",
        "super::fasg",
        "h::i",
    ];
    assert_eq!(spelt, expected);
}
