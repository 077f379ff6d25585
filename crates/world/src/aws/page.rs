//! Pages of a long list: a limit, and a token that says where the next page begins.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// One page of a list, and the token of the next if there is more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// The token was not given out by a page before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadToken;

/// Cuts the page out of `items`, which are in the order of their keys. The token names the last key that was given, so
/// that what is created or deleted between two pages neither repeats nor hides anything else.
pub(crate) fn cut<T>(
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> String,
    limit: usize,
    token: Option<&str>,
) -> Result<Page<T>, BadToken> {
    let after = token.map(read).transpose()?;
    let mut rest = items
        .into_iter()
        .filter(|item| after.as_ref().is_none_or(|after| key(item) > *after));
    let page: Vec<T> = rest.by_ref().take(limit.max(1)).collect();
    let next = match (rest.next(), page.last()) {
        (Some(_), Some(last)) => Some(STANDARD.encode(format!("after:{}", key(last)))),
        _ => None,
    };
    Ok(Page { items: page, next })
}

fn read(token: &str) -> Result<String, BadToken> {
    let bytes = STANDARD.decode(token).map_err(|_| BadToken)?;
    let text = String::from_utf8(bytes).map_err(|_| BadToken)?;
    text.strip_prefix("after:").map(str::to_owned).ok_or(BadToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_give_every_item_once() {
        let items = ["a", "b", "c", "d", "e"];
        let mut seen = Vec::new();
        let mut token = None;
        loop {
            let page = cut(items, ToString::to_string, 2, token.as_deref()).unwrap();
            seen.extend(page.items);
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, items);
    }

    #[test]
    fn a_made_up_token_is_refused() {
        assert_eq!(cut(["a"], ToString::to_string, 2, Some("%%")), Err(BadToken));
        assert_eq!(cut(["a"], ToString::to_string, 2, Some("YWJj")), Err(BadToken));
    }
}
