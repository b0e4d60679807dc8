//! How long files and functions are.
//!
//! A function of more than [`FUNCTION_LINES_MAX`] lines does not fit on a screen, so it cannot be checked by reading it
//! once; a file of more than [`FILE_LINES_MAX`] has more than one subject. Exceptions are listed by name (see
//! [`super::exceptions`]).

use anyhow::{Context, Result};
use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Lines from `fn` to the closing brace.
pub const FUNCTION_LINES_MAX: usize = 70;

/// Lines of a file, tests and comments included.
pub const FILE_LINES_MAX: usize = 600;

/// A file or function and its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Length {
    /// Path below the root.
    pub path: String,
    /// Name of the function; `None` for the file as a whole.
    pub function: Option<String>,
    /// Where it starts.
    pub line: usize,
    /// How long it is.
    pub lines: usize,
}

impl Length {
    /// The ceiling for what this is.
    pub fn max(&self) -> usize {
        if self.function.is_some() { FUNCTION_LINES_MAX } else { FILE_LINES_MAX }
    }
}

/// The length of a Rust file and of every function with a body in it.
///
/// # Errors
/// When the text is not Rust.
pub fn lengths(path: &str, text: &str) -> Result<Vec<Length>> {
    let file = syn::parse_file(text).with_context(|| path.to_owned())?;
    let whole = Length { path: path.to_owned(), function: None, line: 0, lines: text.lines().count() };
    let mut functions = Functions { path, found: vec![whole] };
    functions.visit_file(&file);
    Ok(functions.found)
}

struct Functions<'a> {
    path: &'a str,
    found: Vec<Length>,
}

impl Functions<'_> {
    fn add(&mut self, signature: &syn::Signature, body: Span) {
        let line = signature.span().start().line;
        let lines = body.end().line + 1 - line;
        let function = Some(signature.ident.to_string());
        self.found.push(Length { path: self.path.to_owned(), function, line, lines });
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.sig, function.block.span());
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.sig, function.block.span());
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.add(&function.sig, body.span());
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    //! Lengths by hand.

    use super::*;

    #[test]
    fn every_kind_of_function_is_measured_without_its_comments() {
        let text = "//! Why.\n/// Long\n/// comment.\nfn free() {\n}\nimpl A { fn method(\n&self) {\n fn inner() {}\n} }\n\
                    trait T { fn given() {\n} fn wanted(); }\n";
        let found = lengths("a.rs", text).unwrap();
        let found: Vec<_> = found.iter().map(|length| (length.function.as_deref(), length.lines)).collect();
        assert_eq!(
            found,
            [(None, 11), (Some("free"), 2), (Some("method"), 4), (Some("inner"), 1), (Some("given"), 2)]
        );
    }
}
