//! Services that take a form and answer in XML: IAM, STS, Elastic Load Balancing; EC2 speaks a dialect of its own.
//!
//! A service is a table of [`Operation`]s: its name, the parameters it knows, what it does. [`answer`] refuses a call
//! whose parameters are not all known before the operation runs.

pub(crate) mod elb;
mod form;
pub(crate) mod iam;
pub(super) mod sts;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header::CONTENT_TYPE;

pub(crate) use crate::aws::query::form::BadForm;
pub(crate) use crate::aws::query::form::Form;
pub(super) use crate::aws::query::form::pairs;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::Site;
use crate::aws::xml::Xml;
use crate::core::Request;
use crate::core::Response;

/// One operation of a service.
pub(super) struct Operation<R> {
    pub(super) name: &'static str,
    /// The parameters it knows, as [`Form::check`] reads them.
    pub(super) parameters: &'static str,
    /// Does it, and gives what is in the answer.
    pub(super) run: R,
}

/// What surrounds a service's answers.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) namespace: &'static str,
    pub(super) results: Results,
}

/// When an answer has a result element.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Results {
    /// Even when there is nothing in it.
    Always,
    /// When there is something in it.
    WhenTold,
}

/// What an operation on one region does.
pub(super) type Run = fn(&mut Site<'_>, &Form<'_>) -> Result<Xml, Refusal>;

/// A line of a service's table.
pub(super) const fn operation<R>(name: &'static str, parameters: &'static str, run: R) -> Operation<R> {
    Operation { name, parameters, run }
}

/// The operation that a form names.
pub(super) fn operation_of(request: &Request) -> Option<String> {
    pairs(request).remove("Action")
}

/// Answers a call on one region with the operation that it names, which one of the groups has.
pub(super) fn answer_at(
    scene: &mut Scene<'_>,
    call: &Call<'_>,
    groups: &[&[Operation<Run>]],
    frame: Frame,
) -> Result<Response, Refusal> {
    let knows = |group: &&&[Operation<Run>]| group.iter().any(|operation| operation.name == call.operation);
    let operations = groups.iter().find(knows).copied().unwrap_or_default();
    let mut site = scene.site(&call.scope.region);
    answer(call, operations, frame, |run, form| run(&mut site, form))
}

/// Answers a call with the operation that it names.
pub(super) fn answer<R>(
    call: &Call<'_>,
    operations: &[Operation<R>],
    frame: Frame,
    run: impl FnOnce(&R, &Form<'_>) -> Result<Xml, Refusal>,
) -> Result<Response, Refusal> {
    let operation = operations
        .iter()
        .find(|operation| operation.name == call.operation)
        .ok_or_else(|| {
            let message = format!("The local world knows no operation {}", call.operation);
            Refusal::new("InvalidAction", message)
        })?;
    let pairs = pairs(call.request);
    let form = Form::new(&pairs);
    form.check(operation.parameters)?;
    let result = run(&operation.run, &form)?;
    let mut inner = Xml::new();
    if frame.results == Results::Always || !result.is_empty() {
        inner.element(&format!("{}Result", operation.name), |xml| {
            xml.append(&result);
        });
    }
    inner.element("ResponseMetadata", |xml| {
        xml.text("RequestId", &call.id);
    });
    let root = format!("{}Response", operation.name);
    Ok(xml_response(
        StatusCode::OK,
        &Xml::document(&root, frame.namespace, &inner),
    ))
}

/// A refusal in this protocol.
pub(super) fn refuse(refusal: &Refusal, call: &Call<'_>) -> Response {
    let mut inner = Xml::new();
    let sender = refusal.status.is_client_error();
    inner.element("Error", |xml| {
        xml.text("Type", if sender { "Sender" } else { "Receiver" })
            .text("Code", &refusal.code)
            .text("Message", &refusal.message);
    });
    inner.text("RequestId", &call.id);
    xml_response(refusal.status, &Xml::document("ErrorResponse", "", &inner))
}

/// An XML document as an answer.
pub(super) fn xml_response(status: StatusCode, document: &str) -> Response {
    let mut response = Response::new(Bytes::from(document.to_owned()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/xml;charset=UTF-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

impl From<BadForm> for Refusal {
    fn from(bad: BadForm) -> Self {
        match bad {
            BadForm::Unknown(name) => Self::new(
                "UnknownParameter",
                format!("The parameter {name} is not recognized by the local world"),
            ),
            BadForm::Missing(name) => Self::new(
                "MissingParameter",
                format!("The request must contain the parameter {name}"),
            ),
            BadForm::Malformed(name) => Self::new(
                "InvalidParameterValue",
                format!("Value of the parameter {name} is invalid"),
            ),
        }
    }
}
