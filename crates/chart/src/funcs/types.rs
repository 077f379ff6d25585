//! Types and kinds.

use super::Arguments;
use super::Function;
use super::Param::Any;
use super::Param::String as Text;
use crate::compare::deep_equal;
use crate::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("typeOf", &[Any], |arguments| Ok(arguments[0].type_name().into())),
    Function::pure("typeIs", &[Text, Any], |arguments| {
        Ok(Value::Bool(arguments[1].type_name() == arguments.text(0)))
    }),
    Function::pure("typeIsLike", &[Text, Any], |arguments| {
        let (wanted, name) = (arguments.text(0), arguments[1].type_name());
        Ok(Value::Bool(name == wanted || name.strip_prefix('*') == Some(wanted)))
    }),
    Function::pure("kindOf", &[Any], |arguments| Ok(arguments[0].kind().into())),
    Function::pure("kindIs", &[Text, Any], |arguments| {
        Ok(Value::Bool(arguments[1].kind() == arguments.text(0)))
    }),
    Function::pure("deepEqual", &[Any, Any], |arguments| {
        Ok(Value::Bool(deep_equal(&arguments[0], &arguments[1])))
    }),
];
