//! Writes XML as AWS answers it: elements and text, no attributes but the namespace of the root.

/// A piece of XML that grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Xml(String);

impl Xml {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A whole document: the root with its namespace around `inner`.
    pub(crate) fn document(root: &str, namespace: &str, inner: &Self) -> String {
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        text.push('<');
        text.push_str(root);
        if !namespace.is_empty() {
            text.push_str(" xmlns=\"");
            text.push_str(namespace);
            text.push('"');
        }
        text.push('>');
        text.push_str(&inner.0);
        text.push_str("</");
        text.push_str(root);
        text.push('>');
        text
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `<name>value</name>`, the value escaped.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "numbers, texts and times are written alike; a reference would be noise at every call"
    )]
    pub(crate) fn text(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.start(name);
        escape(&value.to_string(), &mut self.0);
        self.end(name)
    }

    /// `<name>value</name>` if there is a value.
    pub(crate) fn maybe(&mut self, name: &str, value: Option<impl ToString>) -> &mut Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// Text by itself, escaped.
    pub(crate) fn bare(&mut self, value: &str) -> &mut Self {
        escape(value, &mut self.0);
        self
    }

    /// `<name>..</name>` around what `inner` writes.
    pub(crate) fn element(&mut self, name: &str, inner: impl FnOnce(&mut Self)) -> &mut Self {
        self.start(name);
        inner(self);
        self.end(name)
    }

    /// `<name><item>..</item><item>..</item></name>`, one for each of `items`.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        item: &str,
        items: impl IntoIterator<Item = T>,
        mut inner: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.start(name);
        for value in items {
            self.element(item, |xml| inner(xml, value));
        }
        self.end(name)
    }

    /// `<name><item>text</item>..</name>`, one for each of `items`.
    pub(crate) fn texts(
        &mut self,
        name: &str,
        item: &str,
        items: impl IntoIterator<Item = impl ToString>,
    ) -> &mut Self {
        self.start(name);
        for value in items {
            self.text(item, value);
        }
        self.end(name)
    }

    /// Text without an element around it.
    pub(crate) fn raw(&mut self, value: &str) {
        escape(value, &mut self.0);
    }

    /// Appends what another piece holds.
    pub(crate) fn append(&mut self, other: &Self) -> &mut Self {
        self.0.push_str(&other.0);
        self
    }

    fn start(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    fn end(&mut self, name: &str) -> &mut Self {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
        self
    }
}

impl std::fmt::Display for Xml {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn escape(text: &str, into: &mut String) {
    for character in text.chars() {
        match character {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            // A reader would turn a bare carriage return into a line feed.
            '\r' => into.push_str("&#13;"),
            // XML has no way to write the other control characters.
            other if other.is_control() && other != '\n' && other != '\t' => into.push('\u{fffd}'),
            other => into.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_lists_have_items() {
        let mut xml = Xml::new();
        xml.text("a", "1 < 2 & \"x\"")
            .texts("set", "item", ["p", "q"])
            .maybe("none", None::<&str>);
        assert_eq!(
            xml.to_string(),
            "<a>1 &lt; 2 &amp; &quot;x&quot;</a><set><item>p</item><item>q</item></set>"
        );
    }
}
