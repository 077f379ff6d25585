//! Reads the XML documents that S3's clients send: elements and text. Attributes and namespaces say nothing here.

/// One element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) children: Vec<Element>,
}

impl Element {
    /// The root of a document; none if it is not well-formed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut open: Vec<Self> = Vec::new();
        let mut rest = text.trim_start_matches('\u{feff}').trim();
        loop {
            let (before, markup) = rest.split_once('<')?;
            if let Some(element) = open.last_mut() {
                element.text.push_str(&decode(before)?);
            } else if !before.trim().is_empty() {
                return None;
            }
            let (tag, after) = markup.split_once('>')?;
            rest = after;
            if tag.starts_with('?') || tag.starts_with("!--") {
                continue;
            }
            if let Some(name) = tag.strip_prefix('/') {
                let closed = open.pop().filter(|element| element.name == local(name))?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(closed),
                    None => return rest.trim().is_empty().then_some(closed),
                }
                continue;
            }
            let empty = tag.ends_with('/');
            let element = Self {
                name: local(tag.trim_end_matches('/').split_whitespace().next()?),
                ..Self::default()
            };
            match (empty, open.last_mut()) {
                (false, _) => open.push(element),
                (true, Some(parent)) => parent.children.push(element),
                (true, None) => return rest.trim().is_empty().then_some(element),
            }
        }
    }

    /// The first child of a name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of a name.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// All children of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The name of the first child that is none of these.
    pub(super) fn stranger(&self, known: &[&str]) -> Option<&str> {
        let strange = |child: &&Self| !known.contains(&child.name.as_str());
        self.children.iter().find(strange).map(|child| child.name.as_str())
    }
}

/// A name without its namespace prefix.
fn local(name: &str) -> String {
    name.trim().rsplit(':').next().unwrap_or_default().to_owned()
}

/// Text with its entities replaced; none if one is unknown.
fn decode(text: &str) -> Option<String> {
    let mut pieces = text.split('&');
    let mut decoded = pieces.next()?.to_owned();
    for piece in pieces {
        let (entity, rest) = piece.split_once(';')?;
        decoded.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = entity.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)?
            }
        });
        decoded.push_str(rest);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_and_text_are_read() {
        let text = "<?xml version=\"1.0\"?>\n<a xmlns=\"x\"><b>1 &lt; 2 &#x41;</b><c/><b>3</b></a>\n";
        let root = Element::parse(text).unwrap();
        assert_eq!(root.name, "a");
        let texts: Vec<&str> = root.all("b").map(|child| child.text.as_str()).collect();
        assert_eq!(texts, ["1 < 2 A", "3"]);
        assert_eq!(root.stranger(&["b"]), Some("c"));
    }

    #[test]
    fn what_is_not_well_formed_is_nothing() {
        for text in [
            "",
            "a",
            "<a>",
            "<a></b>",
            "<a></a><b/>",
            "<a>&none;</a>",
            "</a>",
            "<",
            "<a",
        ] {
            assert_eq!(Element::parse(text), None, "{text}");
        }
    }
}
