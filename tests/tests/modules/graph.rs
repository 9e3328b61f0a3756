//! Which file of a crate imports from which, read from its `use` lines and from paths in its code.
//!
//! Names are followed through re-exports to the file that defines them. Tests within a file, and
//! files of tests, count for nothing: they may use what they like.

use proc_macro2::{Ident, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use syn::visit::Visit;
use syn::{Attribute, File, Item, UseTree};

/// One arrow: `from` uses `path`, which `to` defines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) path: String,
}

/// A path as its segments.
type Segments = Vec<String>;

/// What one file holds.
#[derive(Default)]
struct Module {
    /// Items it defines.
    items: BTreeSet<String>,
    /// Names it imports, and where from.
    imported: BTreeMap<String, Segments>,
    /// Paths of which it imports everything.
    globs: Vec<Segments>,
    /// All paths it uses.
    used: BTreeSet<Segments>,
}

/// A crate's files and the arrows among them.
pub(crate) struct Crate {
    modules: BTreeMap<String, Module>,
    imports: BTreeSet<Import>,
}

fn is_of_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let words = quote(attribute);
        attribute.path().is_ident("cfg") && words.contains("test")
    })
}

fn quote(attribute: &Attribute) -> String {
    match &attribute.meta {
        syn::Meta::List(list) => list.tokens.to_string(),
        _ => String::new(),
    }
}

impl Module {
    fn read(text: &str) -> Self {
        let file: File = syn::parse_file(text).expect("the crate compiles");
        let mut module = Self::default();
        for item in &file.items {
            module.define(item);
        }
        let mut paths = Paths {
            module: &mut module,
            depth: 0,
        };
        paths.visit_file(&file);
        module
    }

    fn define(&mut self, item: &Item) {
        let name: Option<&Ident> = match item {
            Item::Const(item) => Some(&item.ident),
            Item::Enum(item) => Some(&item.ident),
            Item::Fn(item) => Some(&item.sig.ident),
            Item::Static(item) => Some(&item.ident),
            Item::Struct(item) => Some(&item.ident),
            Item::Trait(item) => Some(&item.ident),
            Item::Type(item) => Some(&item.ident),
            Item::Union(item) => Some(&item.ident),
            // One written here; one in a file of its own is a module.
            Item::Mod(item) if item.content.is_some() => Some(&item.ident),
            _ => None,
        };
        self.items.extend(name.map(ToString::to_string));
    }

    fn import(&mut self, tree: &UseTree, before: &Segments) {
        let with = |ident: &Ident| {
            before
                .iter()
                .cloned()
                .chain([ident.to_string()])
                .collect::<Segments>()
        };
        match tree {
            UseTree::Path(path) => self.import(&path.tree, &with(&path.ident)),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, before)),
            UseTree::Glob(_) => {
                self.globs.push(before.clone());
                self.used.insert(before.clone());
            }
            UseTree::Name(name) if name.ident == "self" => self.bind(before.last().cloned(), before.clone()),
            UseTree::Name(name) => self.bind(Some(name.ident.to_string()), with(&name.ident)),
            UseTree::Rename(name) => self.bind(Some(name.rename.to_string()), with(&name.ident)),
        }
    }

    fn bind(&mut self, name: Option<String>, path: Segments) {
        self.used.insert(path.clone());
        self.imported.extend(name.map(|name| (name, path)));
    }
}

/// Collects what a file uses.
struct Paths<'a> {
    module: &'a mut Module,
    /// Modules written within the file around what is visited.
    depth: usize,
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            _ => &[],
        };
        if is_of_tests(attributes) {
            return;
        }
        let inner = usize::from(matches!(item, Item::Mod(module) if module.content.is_some()));
        self.depth += inner;
        syn::visit::visit_item(self, item);
        self.depth -= inner;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if self.depth == 0 {
            self.module.import(&item.tree, &Segments::new());
            return;
        }
        // Names of an inner module are its own: only what they lead to counts.
        let mut inner = Module::default();
        inner.import(&item.tree, &Segments::new());
        inner.used.into_iter().for_each(|path| self.note(path));
    }

    /// `pub(crate)` and its like use nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string());
        self.note(segments.collect());
        syn::visit::visit_path(self, path);
    }

    /// Paths within a macro's arguments, which are tokens and no syntax yet.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
    }
}

impl Paths<'_> {
    /// Notes a path as the file would write it: of an inner module, `super` leads to the file.
    fn note(&mut self, path: Segments) {
        let climbs = path
            .iter()
            .take(self.depth)
            .take_while(|segment| *segment == "super")
            .count();
        let here = (climbs > 0).then(|| "self".to_owned());
        self.module
            .used
            .insert(here.into_iter().chain(path.into_iter().skip(climbs)).collect());
    }

    fn tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut colons) = (Segments::new(), 0);
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end(&mut path);
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Group(group) => {
                    self.end(&mut path);
                    self.tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => self.end(&mut path),
            }
        }
        self.end(&mut path);
    }

    fn end(&mut self, path: &mut Segments) {
        if !path.is_empty() {
            self.note(std::mem::take(path));
        }
    }
}

impl Crate {
    /// All files below `src` but those of tests.
    pub(crate) fn read(name: &str, src: &Path) -> Self {
        let mut texts = Vec::new();
        collect(src, src, &mut texts);
        assert!(!texts.is_empty(), "{name} has no sources in {}", src.display());
        Self::of(
            name,
            texts.iter().map(|(file, text)| (file.clone(), text.as_str())),
        )
    }

    /// These files, by their module's path: `lib` or `main` for the root, `folder/file` else.
    pub(crate) fn of<'a>(name: &str, files: impl Iterator<Item = (String, &'a str)>) -> Self {
        let modules: BTreeMap<String, Module> =
            files.map(|(file, text)| (file, Module::read(text))).collect();
        let mut read = Self {
            modules,
            imports: BTreeSet::new(),
        };
        assert!(read.root().is_some(), "{name} has neither lib.rs nor main.rs");
        let mut imports = BTreeSet::new();
        for (from, module) in &read.modules {
            for path in &module.used {
                let to = read.resolve(from, path, 0).filter(|to| to != from);
                imports.extend(to.map(|to| Import {
                    from: from.clone(),
                    to,
                    path: path.join("::"),
                }));
            }
        }
        read.imports = imports;
        read
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.modules.keys().map(String::as_str)
    }

    pub(crate) fn imports(&self) -> impl Iterator<Item = &Import> {
        self.imports.iter()
    }

    fn root(&self) -> Option<&str> {
        ["lib", "main"]
            .into_iter()
            .find(|root| self.modules.contains_key(*root))
    }

    /// The module of a name within another, if there is one.
    fn child(&self, of: &str, name: &str) -> Option<String> {
        let path = if Some(of) == self.root() {
            name.to_owned()
        } else {
            format!("{of}/{name}")
        };
        self.modules.contains_key(&path).then_some(path)
    }

    fn parent(&self, of: &str) -> Option<String> {
        Some(
            of.rsplit_once('/')
                .map_or(self.root()?, |(parent, _)| parent)
                .to_owned(),
        )
    }

    /// The file that defines what `path` means in `file`; `None` for what another crate does.
    fn resolve(&self, file: &str, path: &[String], depth: usize) -> Option<String> {
        // Re-exports of globs may go round.
        let (first, rest) = path.split_first().filter(|_| depth < 8)?;
        match first.as_str() {
            "crate" => self.within(self.root()?, rest, depth),
            "super" => self.within(&self.parent(file)?, rest, depth),
            "self" => self.within(file, rest, depth),
            _ => self.within(file, path, depth),
        }
    }

    /// The same for a path that begins in a module.
    fn within(&self, module: &str, path: &[String], depth: usize) -> Option<String> {
        let Some((first, rest)) = path.split_first() else {
            return Some(module.to_owned());
        };
        if first == "super" {
            return self.within(&self.parent(module)?, rest, depth);
        }
        let here = self.modules.get(module)?;
        if here.items.contains(first) {
            return Some(module.to_owned());
        }
        if let Some(child) = self.child(module, first) {
            return self.within(&child, rest, depth);
        }
        if let Some(import) = here.imported.get(first) {
            let whole: Segments = import.iter().chain(rest).cloned().collect();
            // `use name;` of another crate.
            return if *import == [first.clone()] {
                None
            } else {
                self.resolve(module, &whole, depth + 1)
            };
        }
        here.globs.iter().find_map(|glob| {
            let whole: Segments = glob.iter().chain(path).cloned().collect();
            self.resolve(module, &whole, depth + 1)
        })
    }

    /// Sets of files that import each other, directly or through others.
    pub(crate) fn circles(&self) -> impl Iterator<Item = Vec<&str>> {
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            self.files().map(|file| (file, self.reached(file))).collect();
        let mut done = BTreeSet::new();
        let mut circles = Vec::new();
        for (file, reached) in &reach {
            if !reached.contains(file) || done.contains(file) {
                continue;
            }
            let circle: Vec<&str> = reached
                .iter()
                .copied()
                .filter(|other| reach[other].contains(file))
                .collect();
            done.extend(circle.iter().copied());
            circles.push(circle);
        }
        circles.into_iter()
    }

    fn reached(&self, file: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut open = vec![file];
        while let Some(at) = open.pop() {
            for import in self.imports.iter().filter(|import| import.from == at) {
                if reached.insert(import.to.as_str()) {
                    open.push(&import.to);
                }
            }
        }
        reached
    }
}

fn collect(src: &Path, dir: &Path, texts: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(src, &path, texts);
            continue;
        }
        let name = path.strip_prefix(src).unwrap().with_extension("");
        let name = name.to_str().unwrap().trim_end_matches("/mod").to_owned();
        let is_test = name.ends_with("/tests") || name == "tests";
        if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
            texts.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}
