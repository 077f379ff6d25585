//! EC2: networks and machines of one region, in EC2's own dialect of form and XML.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::query;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::xml::Xml;
use crate::core::Response;

const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

const OPERATIONS: &[&[Operation]] = &[];

/// EC2's part of a region.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ec2 {}

impl Ec2 {
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        None
    }

    pub(crate) fn inventory(&self, found: &mut BTreeMap<String, Vec<String>>) {
        let _ = found;
    }
}

pub(crate) fn handle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Refusal> {
    let pairs = query::pairs(call.request);
    let form = Form::new(&pairs);
    let operation = OPERATIONS
        .iter()
        .flat_map(|group| group.iter())
        .find(|operation| operation.name == call.operation)
        .ok_or_else(|| {
            let message = format!("The action {} is not valid for this web service.", call.operation);
            Refusal::new("InvalidAction", message)
        })?;
    form.check(&format!("DryRun {}", operation.parameters))?;
    if form.flag("DryRun")? == Some(true) {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return Err(Refusal::with_status(
            StatusCode::PRECONDITION_FAILED,
            "DryRunOperation",
            message,
        ));
    }
    let result = (operation.run)(scene, call, &form)?;
    let mut inner = Xml::new();
    inner.text("requestId", &call.id).append(&result);
    let root = format!("{}Response", operation.name);
    let document = Xml::document(&root, NAMESPACE, &inner);
    Ok(query::xml_response(StatusCode::OK, &document))
}

/// A refusal in EC2's dialect.
pub(crate) fn refuse(refusal: &Refusal, call: &Call<'_>) -> Response {
    let mut inner = Xml::new();
    inner.element("Errors", |xml| {
        xml.element("Error", |xml| {
            xml.text("Code", &refusal.code).text("Message", &refusal.message);
        });
    });
    inner.text("RequestID", &call.id);
    query::xml_response(refusal.status, &Xml::document("Response", "", &inner))
}
