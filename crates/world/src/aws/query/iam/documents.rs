//! Policy documents: what IAM checks in them before it keeps them.

use serde_json::Map;
use serde_json::Value;

use crate::aws::Refusal;
use crate::aws::query::iam::Iam;

/// What a document is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Who may act as a role: it names principals and no resources.
    Trust,
    /// What an identity may do: it names resources and no principals.
    Permissions,
}

/// The members that a statement may have.
const MEMBERS: &[&str] = &[
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

/// Refuses a document that IAM would refuse.
pub(super) fn check(text: &str, purpose: Purpose, iam: &Iam) -> Result<(), Refusal> {
    let document: Value = serde_json::from_str(text).map_err(|_| malformed("This policy contains invalid Json"))?;
    let Value::Object(document) = document else {
        return Err(malformed("Syntax errors in policy."));
    };
    if let Some(other) = document
        .keys()
        .find(|key| !["Version", "Id", "Statement"].contains(&key.as_str()))
    {
        return Err(malformed(format!(
            "Syntax error: the policy has an unknown member {other}."
        )));
    }
    if !matches!(
        document.get("Version").and_then(Value::as_str),
        None | Some("2012-10-17" | "2008-10-17")
    ) {
        return Err(malformed("The policy must contain a valid version string"));
    }
    let statements = many(document.get("Statement"));
    if statements.is_empty() {
        return Err(malformed("The policy failed legacy parsing: it has no statement."));
    }
    statements
        .into_iter()
        .try_for_each(|statement| check_statement(statement, purpose, iam))
}

fn check_statement(statement: &Value, purpose: Purpose, iam: &Iam) -> Result<(), Refusal> {
    let Value::Object(statement) = statement else {
        return Err(malformed("Syntax errors in policy."));
    };
    if let Some(other) = statement.keys().find(|key| !MEMBERS.contains(&key.as_str())) {
        return Err(malformed(format!(
            "Syntax error: a statement has an unknown member {other}."
        )));
    }
    if !matches!(statement.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny")) {
        return Err(malformed("Missing required field Effect"));
    }
    let has = |names: [&str; 2]| names.iter().any(|name| !many(statement.get(*name)).is_empty());
    if !has(["Action", "NotAction"]) {
        return Err(malformed("Missing required field Action"));
    }
    check_actions(statement)?;
    match purpose {
        Purpose::Permissions if has(["Principal", "NotPrincipal"]) => {
            Err(malformed("Policy document should not specify a principal."))
        }
        Purpose::Permissions if !has(["Resource", "NotResource"]) => {
            Err(malformed("Policy statement must contain resources."))
        }
        Purpose::Permissions => check_resources(statement),
        Purpose::Trust if has(["Resource", "NotResource"]) => Err(malformed("Has prohibited field Resource")),
        Purpose::Trust => check_principal(statement, iam),
    }
}

fn check_actions(statement: &Map<String, Value>) -> Result<(), Refusal> {
    let actions = ["Action", "NotAction"]
        .into_iter()
        .flat_map(|name| many(statement.get(name)));
    for action in actions {
        let good = action.as_str().is_some_and(|text| {
            text == "*"
                || text
                    .split_once(':')
                    .is_some_and(|(vendor, name)| !vendor.is_empty() && !name.is_empty())
        });
        if !good {
            return Err(malformed(
                "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
            ));
        }
    }
    Ok(())
}

fn check_resources(statement: &Map<String, Value>) -> Result<(), Refusal> {
    let resources = ["Resource", "NotResource"]
        .into_iter()
        .flat_map(|name| many(statement.get(name)));
    for resource in resources {
        let text = resource.as_str().unwrap_or_default();
        if text != "*" && !(text.starts_with("arn:") && text.split(':').count() >= 6) {
            let message = format!("Resource {text} must be in ARN format or \"*\".");
            return Err(malformed(message));
        }
    }
    Ok(())
}

fn check_principal(statement: &Map<String, Value>, iam: &Iam) -> Result<(), Refusal> {
    let Some(principal) = statement.get("Principal") else {
        return Err(malformed("Missing required field Principal"));
    };
    let Value::Object(principal) = principal else {
        return if principal == "*" {
            Ok(())
        } else {
            Err(malformed("Invalid principal in policy"))
        };
    };
    for (kind, values) in principal {
        for value in many(Some(values)) {
            let text = value.as_str().unwrap_or_default();
            let good = match kind.as_str() {
                "Service" => text.ends_with(".amazonaws.com"),
                "AWS" => text == "*" || is_account_or_known(text, iam),
                "Federated" => !text.is_empty(),
                _ => false,
            };
            if !good {
                return Err(malformed(format!("Invalid principal in policy: \"{kind}\":\"{text}\"")));
            }
        }
    }
    Ok(())
}

fn is_account_or_known(text: &str, iam: &Iam) -> bool {
    let account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if account(text) {
        return true;
    }
    let Some((id, resource)) = text.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(':')) else {
        return false;
    };
    account(id) && (resource == "root" || resource.starts_with("user/") || iam.role(text).is_some())
}

/// Whether a trust policy lets a service act as the role.
pub(super) fn trusts(trust: &str, service: &str) -> bool {
    let document: Value = serde_json::from_str(trust).unwrap_or_default();
    many(document.get("Statement")).into_iter().any(|statement| {
        let assumes = |action: &Value| matches!(action.as_str(), Some("sts:AssumeRole" | "sts:*" | "*"));
        statement["Effect"] == "Allow"
            && many(statement.get("Action")).into_iter().any(assumes)
            && many(statement["Principal"].get("Service"))
                .into_iter()
                .any(|known| known == service)
    })
}

/// How long a document is for IAM, which does not count blanks.
pub(super) fn size(text: &str) -> usize {
    text.chars().filter(|character| !character.is_whitespace()).count()
}

/// A member's values, be it one value or a list.
fn many(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None => Vec::new(),
        Some(Value::Array(values)) => values.iter().collect(),
        Some(value) => vec![value],
    }
}

fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::new("MalformedPolicyDocument", message)
}
