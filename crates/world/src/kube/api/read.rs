//! Reading: one object, lists, watches.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use crate::core::Response;
use crate::core::Scene;
use crate::kube::api::Outcome;
use crate::kube::api::call::Call;
use crate::kube::api::object_response;
use crate::kube::api::select::Selection;
use crate::kube::api::status::Failure;
use crate::kube::api::view;
use crate::kube::api::view::Paging;
use crate::kube::api::watch;
use crate::kube::api::watch::Watch;
use crate::kube::store::Store;

/// The object that a call names.
pub(crate) fn named(store: &Store, call: &Call<'_>) -> Result<Arc<Value>, Failure> {
    let found = store.get(&call.resource.stored_as, &call.namespace, &call.name);
    found
        .cloned()
        .ok_or_else(|| Failure::not_found(&call.resource, &call.name))
}

/// Answers with one object.
pub(crate) fn get(scene: &Scene<'_>, call: &Call<'_>) -> Result<Response, Failure> {
    let store = &scene.cluster.store;
    check_revision(store, call)?;
    let object = named(store, call)?;
    Ok(object_response(StatusCode::OK, call, &object, scene.now))
}

/// Answers with a list.
pub(crate) fn list(scene: &Scene<'_>, call: &Call<'_>) -> Result<Response, Failure> {
    let store = &scene.cluster.store;
    check_revision(store, call)?;
    let selection = selection(call)?;
    let paging = Paging {
        limit: call.parameter("limit").parse().unwrap_or(0),
        token: call.parameter("continue").to_owned(),
    };
    let namespaced = !call.namespace.is_empty();
    let page = view::page(objects(store, call), &selection, &paging, namespaced, store.revision())?;
    let bytes = view::list(&call.resource, &page, call.form, scene.now);
    let mut response = Response::new(Bytes::from(bytes));
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    Ok(response)
}

/// Opens a watch.
pub(crate) fn watch(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Outcome, Failure> {
    let store = &scene.cluster.store;
    let mut selection = selection(call)?;
    if !call.name.is_empty() {
        let one = format!("metadata.name={}", call.name);
        selection = Selection::parse(&call.resource, call.parameter("labelSelector"), &one)?;
    }
    let revision = store.revision();
    let asked = call.parameter("resourceVersion");
    let from = match asked {
        "" | "0" => None,
        text => Some(
            text.parse::<u64>()
                .map_err(|_| Failure::bad_request(format!("strconv.ParseUint: parsing \"{text}\": invalid syntax")))?,
        ),
    };
    let initial = call.flag("sendInitialEvents") || from.is_none();
    if call.flag("sendInitialEvents") && call.parameter("resourceVersionMatch") != "NotOlderThan" {
        return Err(Failure::bad_request(
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    let watch = Watch {
        resource: call.resource.clone(),
        namespace: call.namespace.clone(),
        selection,
        form: call.form,
        bookmarks: call.flag("allowWatchBookmarks"),
        since: from.filter(|_| !initial).unwrap_or(revision),
        ends: watch::end(scene.now, call.parameter("timeoutSeconds").parse().ok()),
        bookmarked: scene.now,
    };
    let (lines, open) = if initial {
        let mut lines = watch.first_lines(objects(store, call), scene.now);
        if watch.bookmarks {
            lines.extend(watch::bookmark_line(&call.resource, revision, true));
        }
        (lines, true)
    } else if let Some(changes) = store.changes_since(watch.since) {
        (watch.missed(changes, scene.now), true)
    } else {
        (watch::error_line(&watch::too_old(watch.since)), false)
    };
    let since = watch.since.max(revision);
    let mut response = Response::new(Bytes::from(lines));
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    if !open {
        return Ok(Outcome::Answer(response));
    }
    let ticket = scene.tickets.issue();
    let memory = &mut scene.cluster.api;
    memory.watches.open(ticket, Watch { since, ..watch }, revision);
    Ok(Outcome::Stream(response, ticket))
}

/// What a call selects.
pub(crate) fn selection(call: &Call<'_>) -> Result<Selection, Failure> {
    Selection::parse(
        &call.resource,
        call.parameter("labelSelector"),
        call.parameter("fieldSelector"),
    )
}

/// The objects of a call's collection.
pub(crate) fn objects<'a>(store: &'a Store, call: &'a Call<'_>) -> Box<dyn Iterator<Item = &'a Arc<Value>> + 'a> {
    let kind = &call.resource.stored_as;
    if call.namespace.is_empty() {
        Box::new(store.list(kind))
    } else {
        Box::new(store.list_in(kind, &call.namespace))
    }
}

/// Refuses a revision that the store has not reached.
fn check_revision(store: &Store, call: &Call<'_>) -> Result<(), Failure> {
    let asked = call.parameter("resourceVersion");
    let asked: u64 = match asked {
        "" => return Ok(()),
        text => text
            .parse()
            .map_err(|_| Failure::bad_request(format!("invalid resource version \"{text}\"")))?,
    };
    if asked > store.revision() {
        return Err(Failure::too_large_revision(asked, store.revision()));
    }
    Ok(())
}
