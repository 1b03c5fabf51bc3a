//! One parsed source file, and what is test and what is product in it.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Item};

/// A file as the rules see it.
pub(crate) struct Source<'a> {
    /// From the workspace's root.
    pub(crate) path: &'a str,
    pub(crate) text: &'a str,
    pub(crate) syntax: syn::File,
}

/// A breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) rule: u8,
    pub(crate) what: String,
}

impl<'a> Source<'a> {
    pub(crate) fn parse(path: &'a str, text: &'a str) -> Result<Self, Finding> {
        let syntax = syn::parse_file(text).map_err(|error| Finding {
            path: path.into(),
            line: error.span().start().line,
            rule: 0,
            what: format!("does not parse: {error}"),
        })?;
        Ok(Self { path, text, syntax })
    }

    pub(crate) fn finding(&self, span: Span, rule: u8, what: impl Into<String>) -> Finding {
        Finding { path: self.path.into(), line: span.start().line, rule, what: what.into() }
    }

    /// Whether the whole file is test code.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs") || has_test_cfg(&self.syntax.attrs)
    }

    /// Lines that are not inside a `#[cfg(test)]` module.
    pub(crate) fn product_lines(&self) -> usize {
        let mut tests = TestLines::default();
        tests.visit_file(&self.syntax);
        self.text.lines().count() - tests.lines
    }
}

#[derive(Default)]
struct TestLines {
    lines: usize,
}

impl<'ast> Visit<'ast> for TestLines {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(module) if has_test_cfg(&module.attrs) => self.lines += lines(item.span()),
            item => visit::visit_item(self, item),
        }
    }
}

/// How many lines a span touches.
pub(crate) fn lines(span: Span) -> usize {
    span.end().line - span.start().line + 1
}

/// `#[cfg(test)]`, or `test` anywhere in a `cfg`.
pub(crate) fn has_test_cfg(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let mut is_test = false;
        if attribute.path().is_ident("cfg") {
            // What does not parse is no `cfg(test)`; the compiler complains about it.
            let _ = attribute.parse_nested_meta(|meta| {
                is_test |= meta.path.is_ident("test");
                if meta.input.peek(syn::token::Paren) {
                    meta.parse_nested_meta(|inner| {
                        is_test |= inner.path.is_ident("test");
                        Ok(())
                    })?;
                } else if meta.input.peek(syn::Token![=]) {
                    meta.value()?.parse::<syn::Lit>()?;
                }
                Ok(())
            });
        }
        is_test
    })
}
