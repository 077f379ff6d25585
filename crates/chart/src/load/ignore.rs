//! `.helmignore`: which files of a folder are no part of the chart.

use crate::pattern;

/// The rules of a `.helmignore` file, and the one that Helm adds.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    pattern: String,
    negated: bool,
    only_folders: bool,
    whole_path: bool,
}

impl Rules {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut rules = Vec::new();
        for line in text.trim_start_matches('\u{feff}').lines().chain(["templates/.?*"]) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.contains("**") {
                return Err("double-star (**) syntax is not supported".to_owned());
            }
            let (negated, line) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
            let (only_folders, line) = line.strip_suffix('/').map_or((false, line), |rest| (true, rest));
            let whole_path = line.contains('/');
            let pattern = line.strip_prefix('/').unwrap_or(line).to_owned();
            rules.push(Rule {
                pattern,
                negated,
                only_folders,
                whole_path,
            });
        }
        Ok(Rules { rules })
    }

    pub(super) fn ignores(&self, path: &str, folder: bool) -> bool {
        for rule in &self.rules {
            let matches = rule.matches(path);
            // Helm reads a negated rule as "ignore all that does not match".
            if rule.negated {
                if rule.only_folders && !folder || !matches {
                    return true;
                }
            } else if matches && (folder || !rule.only_folders) {
                return true;
            }
        }
        false
    }
}

impl Rule {
    fn matches(&self, path: &str) -> bool {
        let subject = if self.whole_path {
            path
        } else {
            path.rsplit('/').next().unwrap_or(path)
        };
        pattern::matches(&self.pattern, subject)
    }
}
