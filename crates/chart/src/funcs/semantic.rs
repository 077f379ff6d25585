//! Semantic versions.

use std::any::Any as AnyType;

use super::Arguments;
use super::Function;
use super::Param::String as Text;
use crate::semver::Constraint;
use crate::semver::Version;
use crate::value::Object;
use crate::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("semver", &[Text], |arguments| {
        Ok(Value::object(Version::parse(arguments.text(0))?))
    }),
    Function::pure("semverCompare", &[Text, Text], |arguments| {
        let constraint = Constraint::parse(arguments.text(0))?;
        let version = Version::parse(arguments.text(1))?;
        Ok(Value::Bool(constraint.allows(&version)))
    }),
];

impl Object for Version {
    fn type_name(&self) -> &'static str {
        "*semver.Version"
    }

    fn kind(&self) -> &'static str {
        "ptr"
    }

    fn method(&self, name: &str) -> Option<usize> {
        match name {
            "Major" | "Minor" | "Patch" | "Prerelease" | "Metadata" | "Original" | "String" => Some(0),
            "Compare" | "Equal" | "LessThan" | "GreaterThan" => Some(1),
            _ => None,
        }
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        let number = |number: u64| Value::Int64(i64::try_from(number).unwrap_or(i64::MAX));
        Ok(match name {
            "Major" => number(self.major),
            "Minor" => number(self.minor),
            "Patch" => number(self.patch),
            "Prerelease" => self.prerelease.as_str().into(),
            "Metadata" => self.metadata.as_str().into(),
            "Original" => self.original.as_str().into(),
            "String" => self.to_string().into(),
            _ => {
                let order = self.cmp(&Version::parse(arguments.text(0))?);
                match name {
                    "Equal" => Value::Bool(order.is_eq()),
                    "LessThan" => Value::Bool(order.is_lt()),
                    "GreaterThan" => Value::Bool(order.is_gt()),
                    _ => Value::Int(order as i64),
                }
            }
        })
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn as_any(&self) -> &dyn AnyType {
        self
    }
}
