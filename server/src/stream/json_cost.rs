//! The cost of JSON as a tree, told from its text before there is a tree.

/// Counts that bound the memory of a tree of JSON values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct JsonCost {
    /// Bytes of text.
    pub(super) bytes: usize,
    /// Values and containers: at least as many as the tree has.
    pub(super) values: usize,
}

impl JsonCost {
    /// Counts what is in `text`, which need not be JSON.
    pub(super) fn of(text: &[u8]) -> Self {
        let mut values = 1;
        let mut in_string = false;
        let mut escaped = false;
        for byte in text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b',' | b'[' | b'{' if !in_string => values += 1,
                _ => {}
            }
        }
        Self {
            bytes: text.len(),
            values,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn values(tree: &Value) -> usize {
        1 + match tree {
            Value::Array(items) => items.iter().map(values).sum(),
            Value::Object(members) => members.values().map(values).sum(),
            _ => 0,
        }
    }

    #[test]
    fn a_tree_has_no_more_values_than_its_text_shows() {
        for text in [
            "0",
            "[]",
            "[0,0,0]",
            r#"{"a":{"":[{}]},"b":[[],[1,2]]}"#,
            r#"["a,b[{\",[","\\",2]"#,
        ] {
            let tree: Value = serde_json::from_str(text).unwrap();
            let cost = JsonCost::of(text.as_bytes());
            assert!(cost.values >= values(&tree), "{text}: {cost:?}");
            assert!(cost.values <= 2 * values(&tree), "{text}: {cost:?}");
        }
    }
}
