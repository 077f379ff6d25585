//! An autoscaler of Kubernetes beside one of KEDA on the same target: the two undo each other.

use crate::stack::check::Object;
use crate::stack::check::View;
use crate::stack::problem::Problem;

pub(super) fn lint(view: &View<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for hpa in view.of_kind("HorizontalPodAutoscaler") {
        let same = |scaled: &Object<'_>| target(view, *scaled) == target(view, hpa) && !takes_over(*scaled, hpa);
        if let Some(scaled) = view.of_kind("ScaledObject").find(same) {
            let (kind, name, _) = target(view, hpa);
            let what = format!(
                "scales the {kind} `{name}`, and so does the ScaledObject `{}`",
                scaled.name()
            );
            let next = "take one of the two out; KEDA makes an autoscaler of its own";
            problems.push(view.in_object(hpa, &what, next));
        }
    }
    problems
}

/// Kind, name and namespace of what an object scales.
fn target(view: &View<'_>, object: Object<'_>) -> (String, String, String) {
    let target = &object.value["spec"]["scaleTargetRef"];
    let text = |field: &str, default: &str| target[field].as_str().unwrap_or(default).to_owned();
    (
        text("kind", "Deployment"),
        text("name", ""),
        view.namespace(object).to_owned(),
    )
}

/// Whether KEDA was told to make that very autoscaler its own.
fn takes_over(scaled: Object<'_>, hpa: Object<'_>) -> bool {
    let told = &scaled.value["metadata"]["annotations"]["scaledobject.keda.sh/transfer-hpa-ownership"];
    let name = &scaled.value["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["name"];
    told.as_str() == Some("true") && name.as_str() == Some(hpa.name())
}
