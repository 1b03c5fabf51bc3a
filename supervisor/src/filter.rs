//! The `filter` parameter of collections: `status eq Running and config.user.team eq "web"`.
//!
//! Works on the rendered JSON, so that every field a client sees can be asked for. Clauses are taken from left to right
//! without precedence, as LXD does.

use regex::{Regex, RegexBuilder};
use serde::Serialize;
use serde_json::Value;

use crate::api::ApiError;

/// A client's expression may become this many bytes: a few letters can ask for gigabytes.
const LARGEST_EXPRESSION: usize = 256 << 10;
const MOST_CLAUSES: usize = 64;

/// A parsed filter.
#[derive(Clone, Debug)]
pub(crate) struct Filter(Vec<Clause>);

#[derive(Clone, Debug)]
struct Clause {
    /// How this clause joins the ones before it.
    join: Join,
    negated: bool,
    field: String,
    equal: bool,
    value: String,
    /// What `value` describes, if it is an expression. Made once, whatever the number of objects.
    expression: Option<Regex>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Join {
    And,
    Or,
}

impl Filter {
    /// `None` for an absent or empty parameter.
    pub(crate) fn parse(text: Option<&str>) -> Result<Option<Self>, ApiError> {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
        let words = words(text)?;
        let mut rest = words.as_slice();
        let mut clauses = vec![clause(Join::And, &mut rest)?];
        while let Some((word, after)) = rest.split_first() {
            let join = match word.to_ascii_lowercase().as_str() {
                "and" => Join::And,
                "or" => Join::Or,
                _ => return Err(invalid("clause has no logical operator")),
            };
            if clauses.len() == MOST_CLAUSES {
                return Err(invalid("more than 64 clauses"));
            }
            rest = after;
            clauses.push(clause(join, &mut rest)?);
        }
        Ok(Some(Self(clauses)))
    }

    pub(crate) fn matches(&self, object: &impl Serialize) -> bool {
        let object = serde_json::to_value(object).unwrap_or_default();
        self.0.iter().fold(true, |before, clause| match clause.join {
            Join::And => before && clause.holds(&object),
            Join::Or => before || clause.holds(&object),
        })
    }
}

impl Clause {
    fn holds(&self, object: &Value) -> bool {
        let found = field(object, &self.field);
        let equal = found.is_some_and(|found| self.describes(&text(found)));
        (equal == self.equal) != self.negated
    }

    /// The same text, or one that the value describes as a whole; `^` and `$` in it say otherwise. Case does not matter.
    fn describes(&self, text: &str) -> bool {
        text.eq_ignore_ascii_case(&self.value)
            || self.expression.as_ref().is_some_and(|expression| expression.is_match(text))
    }
}

fn expression(value: &str) -> Option<Regex> {
    let anchored = value.contains(['^', '$']);
    let pattern = if anchored { value.to_owned() } else { format!("^(?:{value})$") };
    RegexBuilder::new(&pattern).case_insensitive(true).size_limit(LARGEST_EXPRESSION).build().ok()
}

fn clause(join: Join, rest: &mut &[String]) -> Result<Clause, ApiError> {
    let mut next = || {
        let (first, after) = rest.split_first()?;
        *rest = after;
        Some(first.clone())
    };
    let mut field = next().ok_or_else(|| invalid("incomplete clause"))?;
    let negated = field.eq_ignore_ascii_case("not");
    if negated {
        field = next().ok_or_else(|| invalid("incomplete not clause"))?;
    }
    let operator = next().ok_or_else(|| invalid("clause has no operator"))?;
    let equal = match operator.to_ascii_lowercase().as_str() {
        "eq" => true,
        "ne" => false,
        _ => return Err(invalid("unsupported operation")),
    };
    let value = next().ok_or_else(|| invalid("clause has no value"))?;
    Ok(Clause { join, negated, field, equal, expression: expression(&value), value })
}

/// Words between white space of any kind; quotes keep it in a word.
fn words(text: &str) -> Result<Vec<String>, ApiError> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = match rest.strip_prefix('"') {
            Some(quoted) => {
                let end = quoted.find('"').ok_or_else(|| invalid("unterminated quoted value"))?;
                words.push(quoted[..end].to_owned());
                end + 2
            }
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                words.push(rest[..end].to_owned());
                end
            }
        };
        rest = rest[end..].trim_start();
    }
    Ok(words)
}

/// A field by its dotted path; a map's key may have dots itself.
fn field<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(found) = object.get(path) {
        return Some(found);
    }
    path.match_indices('.').find_map(|(dot, _)| field(object.get(&path[..dot])?, &path[dot + 1..]))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn invalid(why: &str) -> ApiError {
    ApiError::bad_request(format!("Invalid filter: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn matches(filter: &str) -> bool {
        let object =
            json!({"name": "c1", "public": true, "size": 7, "config": {"user.team": "web shop"}, "state": {"cpu": 1}});
        Filter::parse(Some(filter)).unwrap().unwrap().matches(&object)
    }

    #[test]
    fn clauses_join_from_left_to_right() {
        assert!(matches("name eq c1"));
        assert!(matches("public eq true and size eq 7"));
        assert!(matches("not name eq c2 and config.user.team eq \"web shop\""));
        assert!(matches("name eq c2 or state.cpu eq 1"));
        assert!(!matches("name ne c1"));
        assert!(matches("name eq (^c$|^c.*)") && matches("name eq C.") && !matches("name eq c"));
        assert!(!matches("missing eq x"));
        assert!(matches("name\teq c1 \n and public eq true\t"), "any white space separates");
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        assert!(Filter::parse(Some("")).unwrap().is_none());
        for (bad, why) in [
            ("bad", "no operator"),
            ("a eq", "no value"),
            ("a is b", "unsupported"),
            ("a eq b c", "logical"),
            ("a eq \"b", "unterminated"),
            (&format!("a eq b{}", " or a eq b".repeat(64)), "64 clauses"),
        ] {
            let error = Filter::parse(Some(bad)).unwrap_err();
            assert!(error.message.contains(why), "{bad}: {error}");
        }
    }
}
