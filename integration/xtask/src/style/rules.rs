//! The rules, by their numbers in the house style.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, BinOp, Block, Expr, ExprBinary, ImplItem, ImplItemFn, Item, ItemFn, ItemMod, Lit, LitStr, Pat,
    TraitItemFn,
};

use super::source::{Finding, Source, has_test_cfg, lines};

pub(crate) const MAX_FILE: usize = 800;
pub(crate) const MAX_FUNCTION: usize = 100;

/// Words that drivers are called by, from the manifests.
#[derive(Debug, Default)]
pub(crate) struct DriverNames {
    /// `storage-dir`: nowhere in the supervisor.
    pub(crate) full: Vec<String>,
    /// `dir`: may be a default that is passed on, but is never decided on.
    pub(crate) words: Vec<String>,
}

/// Everything wrong with one file.
pub(crate) fn check(source: &Source, names: &DriverNames) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(mod_without_logic(source));
    findings.extend(header(source));
    findings.extend(file_length(source));
    findings.extend(function_length(source));
    if source.path.starts_with("supervisor/src/") {
        findings.extend(no_driver_names(source, names));
    }
    findings
}

/// Rule 1: `mod.rs` says what there is; at most it passes a call on.
fn mod_without_logic(source: &Source) -> Option<Finding> {
    if !source.path.ends_with("/mod.rs") || source.is_test() {
        return None;
    }
    let logic = source.syntax.items.iter().find(|item| has_logic(item))?;
    Some(source.finding(logic.span(), 1, "logic in `mod.rs`: it belongs in a file named after what it does"))
}

/// Whether an item does something itself: one expression that chooses whom to call does not count.
fn has_logic(item: &Item) -> bool {
    let does = |block: &Block| block.stmts.len() > 1;
    match item {
        Item::Mod(module) => module.content.is_some() && !has_test_cfg(&module.attrs),
        Item::Fn(function) => does(&function.block),
        Item::Impl(block) => {
            block.items.iter().any(|item| matches!(item, ImplItem::Fn(function) if does(&function.block)))
        }
        Item::Macro(definition) => definition.ident.is_some(), // a use of one is a list of what there is
        _ => false,
    }
}

/// Rule 2: a module opens by saying what it owns.
fn header(source: &Source) -> Option<Finding> {
    let is_doc = |attribute: &Attribute| attribute.path().is_ident("doc");
    let said = source.syntax.attrs.iter().any(is_doc)
        && source
            .text
            .lines()
            .any(|line| line.trim_start().strip_prefix("//!").is_some_and(|rest| rest.trim().len() > 3));
    let line = Finding {
        path: source.path.into(),
        line: 1,
        rule: 2,
        what: "no `//!` header says what this module owns".into(),
    };
    (!said).then_some(line)
}

/// Rule 3: no endless files, tests not counted.
fn file_length(source: &Source) -> Option<Finding> {
    let count = source.product_lines();
    let what = format!("{count} lines; at {MAX_FILE} a file is split");
    (!source.is_test() && count > MAX_FILE).then(|| Finding { path: source.path.into(), line: 1, rule: 3, what })
}

/// Rule 3: no endless functions, tests not counted.
fn function_length(source: &Source) -> Vec<Finding> {
    struct Functions<'a>(&'a Source<'a>, Vec<Finding>);
    impl Functions<'_> {
        fn measure(&mut self, name: &syn::Ident, attributes: &[Attribute], block: &Block) {
            let count = lines(block.span());
            if count > MAX_FUNCTION && !is_test_function(attributes) {
                let what = format!("`{name}` has {count} lines; at {MAX_FUNCTION} a function is split");
                self.1.push(self.0.finding(name.span(), 3, what));
            }
        }
    }
    impl<'ast> Visit<'ast> for Functions<'_> {
        fn visit_item_mod(&mut self, module: &'ast ItemMod) {
            if !has_test_cfg(&module.attrs) {
                visit::visit_item_mod(self, module);
            }
        }
        fn visit_item_fn(&mut self, function: &'ast ItemFn) {
            self.measure(&function.sig.ident, &function.attrs, &function.block);
            visit::visit_item_fn(self, function);
        }
        fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
            self.measure(&function.sig.ident, &function.attrs, &function.block);
            visit::visit_impl_item_fn(self, function);
        }
        fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
            if let Some(block) = &function.default {
                self.measure(&function.sig.ident, &function.attrs, block);
            }
            visit::visit_trait_item_fn(self, function);
        }
    }
    if source.is_test() {
        return Vec::new();
    }
    let mut functions = Functions(source, Vec::new());
    functions.visit_file(&source.syntax);
    functions.1
}

fn is_test_function(attributes: &[Attribute]) -> bool {
    let named = |attribute: &Attribute| {
        attribute.path().segments.last().is_some_and(|last| last.ident.to_string().ends_with("test"))
    };
    has_test_cfg(attributes) || attributes.iter().any(named)
}

/// Rule 8: the supervisor asks `describe()`; it knows no driver by name.
fn no_driver_names(source: &Source, names: &DriverNames) -> Vec<Finding> {
    struct Literals<'a> {
        source: &'a Source<'a>,
        names: &'a DriverNames,
        findings: Vec<Finding>,
    }
    impl Literals<'_> {
        fn decided_on(&mut self, literal: &LitStr) {
            let value = literal.value();
            if self.names.words.contains(&value) {
                let what =
                    format!("a decision on the driver name \"{value}\": ask what the driver can do (`describe`)");
                self.findings.push(self.source.finding(literal.span(), 8, what));
            }
        }
    }
    impl<'ast> Visit<'ast> for Literals<'_> {
        fn visit_item_mod(&mut self, module: &'ast ItemMod) {
            if !has_test_cfg(&module.attrs) {
                visit::visit_item_mod(self, module);
            }
        }
        fn visit_attribute(&mut self, _: &'ast Attribute) {} // documentation may give examples
        fn visit_lit_str(&mut self, literal: &'ast LitStr) {
            let value = literal.value();
            if let Some(name) = self.names.full.iter().find(|name| mentions(&value, name)) {
                let what = format!("the plugin `{name}` by name: the supervisor knows drivers by what they can do");
                self.findings.push(self.source.finding(literal.span(), 8, what));
            }
        }
        fn visit_pat(&mut self, pattern: &'ast Pat) {
            if let Pat::Lit(literal) = pattern
                && let Lit::Str(literal) = &literal.lit
            {
                self.decided_on(literal);
            }
            visit::visit_pat(self, pattern);
        }
        fn visit_expr_binary(&mut self, binary: &'ast ExprBinary) {
            if matches!(binary.op, BinOp::Eq(_) | BinOp::Ne(_)) {
                for side in [&*binary.left, &*binary.right] {
                    if let Expr::Lit(literal) = side
                        && let Lit::Str(literal) = &literal.lit
                    {
                        self.decided_on(literal);
                    }
                }
            }
            visit::visit_expr_binary(self, binary);
        }
    }
    if source.is_test() {
        return Vec::new();
    }
    let mut literals = Literals { source, names, findings: Vec::new() };
    literals.visit_file(&source.syntax);
    literals.findings
}

/// `name` as a whole word of `text`.
fn mentions(text: &str, name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.match_indices(name).any(|(start, _)| {
        let before = text[..start].bytes().next_back();
        let after = text[start + name.len()..].bytes().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(u8, usize)> {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        let names = DriverNames { full: words(&["storage-dir"]), words: words(&["dir", "bridge"]) };
        let source = Source::parse(path, text).unwrap();
        check(&source, &names).into_iter().map(|finding| (finding.rule, finding.line)).collect()
    }

    #[test]
    fn a_module_file_with_logic() {
        assert_eq!(found("a/src/b/mod.rs", "//! What b is.\nmod c;\npub use c::D;\n"), []);
        assert_eq!(found("a/src/b/mod.rs", "//! What b is.\nmod c;\nfn d() { e(); f() }\n"), [(1, 3)]);
        let choice =
            "//! What b is.\nenum E { F, G }\nimpl E { fn d(self) { match self { E::F => f(), E::G => g() } } }\n";
        assert_eq!(found("a/src/b/mod.rs", choice), []);
        assert_eq!(found("a/tests/b/mod.rs", "//! What b is.\nfn d() { e(); f() }\n"), []);
        assert_eq!(found("a/src/b/mod.rs", "//! What b is.\n#[cfg(test)]\nmod tests { fn d() {} }\n"), []);
        assert_eq!(found("a/src/b/mod.rs", "//! What b is.\nmod inline { fn d() {} }\n"), [(1, 2)]);
    }

    #[test]
    fn a_file_without_a_header() {
        assert_eq!(found("a/src/b.rs", "fn d() {}\n"), [(2, 1)]);
        assert_eq!(found("a/src/b.rs", "//! .\nfn d() {}\n"), [(2, 1)]);
        assert_eq!(found("a/src/b.rs", "#![allow(dead_code)]\n//! What b is.\nfn d() {}\n"), []);
    }

    #[test]
    fn long_files_and_functions_but_not_long_tests() {
        let long = |count: usize| "    let _ = 1;\n".repeat(count);
        let function = |count| format!("//! What b is.\nfn d() {{\n{}}}\n", long(count));
        assert_eq!(found("a/src/b.rs", &function(98)), []);
        assert_eq!(found("a/src/b.rs", &function(99)), [(3, 2)]);
        let method = format!("//! What b is.\nstruct S;\nimpl S {{\nfn d() {{\n{}}}\n}}\n", long(99));
        assert_eq!(found("a/src/b.rs", &method), [(3, 4)]);
        let file = |lines: usize, open: &str| {
            format!("//! What b is.\n{open}\nmod t {{\n{}}}\n", "fn d() {}\n".repeat(lines - 4))
        };
        assert_eq!(found("a/src/b.rs", &file(800, "// x")), []);
        assert_eq!(found("a/src/b.rs", &file(801, "// x")), [(3, 1)]);
        assert_eq!(found("a/src/b.rs", &file(2000, "#[cfg(test)]")), []);
        assert_eq!(
            found(
                "a/src/b.rs",
                &format!("//! What b is.\n#[cfg(test)]\nmod t {{\n#[test]\nfn d() {{\n{}}}\n}}", long(200))
            ),
            []
        );
    }

    #[test]
    fn drivers_by_name_in_the_supervisor_only() {
        let text = |body: &str| format!("//! What b is.\nfn d(x: &str) -> bool {{\n{body}\n}}\n");
        let supervisor = "supervisor/src/b.rs";
        assert_eq!(found(supervisor, &text("x == \"dir\"")), [(8, 3)]);
        assert_eq!(found(supervisor, &text("match x { \"bridge\" | \"z\" => true, _ => false }")), [(8, 3)]);
        assert_eq!(found(supervisor, &text("matches(\"runs storage-dir@default\")")), [(8, 3)]);
        // A default that is passed on, a longer word, other crates, tests: none of the supervisor's business.
        assert_eq!(found(supervisor, &text("pass(\"dir\")")), []);
        assert_eq!(found(supervisor, &text("x == \"directory\" || pass(\"my-storage-dir\")")), []);
        assert_eq!(found("cli/src/b.rs", &text("x == \"dir\"")), []);
        assert_eq!(found("supervisor/tests/b.rs", &text("x == \"dir\"")), []);
    }
}
