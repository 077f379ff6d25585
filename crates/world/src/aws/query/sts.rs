//! STS: who is calling.

use crate::aws::Call;
use crate::aws::Refusal;
use crate::aws::Scene;
use crate::aws::query;
use crate::aws::query::Frame;
use crate::aws::query::Operation;
use crate::aws::query::Results;
use crate::aws::query::operation;
use crate::aws::xml::Xml;
use crate::core::Response;

const FRAME: Frame = Frame {
    namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
    results: Results::WhenTold,
};

type Run = fn(&Scene<'_>, &Call<'_>) -> Xml;

const OPERATIONS: &[Operation<Run>] = &[operation("GetCallerIdentity", "", get_caller_identity)];

pub(crate) fn handle(scene: &mut Scene<'_>, call: &Call<'_>) -> Result<Response, Refusal> {
    query::answer(call, OPERATIONS, FRAME, |run, _| Ok(run(scene, call)))
}

fn get_caller_identity(scene: &Scene<'_>, call: &Call<'_>) -> Xml {
    let caller = scene.account.caller(&call.scope.key);
    let mut xml = Xml::new();
    xml.text("Arn", &caller.arn)
        .text("UserId", &caller.id)
        .text("Account", &scene.account.id);
    xml
}

#[cfg(test)]
mod tests {
    use crate::aws::wire;

    #[test]
    fn the_caller_is_told_who_it_is() {
        let mut world = wire::World::new();
        let answer = world.form("sts", "Action=GetCallerIdentity&Version=2011-06-15");
        answer.has("<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">");
        answer.has("<Arn>arn:aws:iam::123456789012:user/operator</Arn>");
        answer.has("<Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>");
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        let mut world = wire::World::new();
        world
            .form("sts", "Action=GetCallerIdentity&Version=2011-06-15&Polite=yes")
            .refused(400, "UnknownParameter");
        world.form("sts", "Action=GetSecrets").refused(400, "InvalidAction");
    }
}
