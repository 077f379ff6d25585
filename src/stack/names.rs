//! What things are called in AWS: from the stack's name, so that the same stack gives the same names in every run.
//!
//! A name says which stack it is of. Where it is shared by all regions of an account it has the region in it; where it
//! is shared by all accounts, or cannot be used again at once, it has the instance in it.

use sha2::Digest;
use sha2::Sha256;

use crate::stack::Place;

/// AWS's limit for the name of an IAM role.
const ROLE: usize = 64;
/// AWS's limit for the name of an IAM policy.
const POLICY: usize = 128;
/// AWS's limit for the name of a bucket.
const BUCKET: usize = 63;
/// AWS's limit for the name of a queue.
const QUEUE: usize = 80;
/// AWS's limit for the name of an `EventBridge` rule.
const RULE: usize = 64;

/// One stack in one place: what its resources are called there.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The stack's name.
    pub stack: &'a str,
    /// Where it stands.
    pub place: &'a Place,
}

impl Site<'_> {
    /// The name of something that is only of this region: `tube-nodes`.
    pub fn name(&self, of: &str) -> String {
        format!("{}-{of}", self.stack)
    }

    /// The name of an IAM role.
    pub fn role(&self, of: &str) -> String {
        shorten(&format!("{}-{of}-{}", self.stack, self.place.region), ROLE)
    }

    /// The name of an IAM policy.
    pub fn policy(&self, of: &str) -> String {
        shorten(&format!("{}-{of}-{}", self.stack, self.place.region), POLICY)
    }

    /// The name of an `EventBridge` rule.
    pub fn rule(&self, of: &str) -> String {
        shorten(&self.name(of), RULE)
    }

    /// The name of a bucket, which no other account in the world may have.
    pub fn bucket(&self, of: &str) -> String {
        let tail = format!("-{}-{}", self.place.account, self.place.instance);
        let head = shorten(&self.name(of), BUCKET.saturating_sub(tail.len()));
        head + &tail
    }

    /// The name of the queue of Karpenter's interruptions; AWS holds a deleted queue's name back for a minute.
    pub fn queue(&self) -> String {
        let tail = format!("-{}", self.place.instance);
        let head = shorten(&format!("Karpenter-{}", self.stack), QUEUE.saturating_sub(tail.len()));
        head + &tail
    }

    /// The path of everything in IAM that is of this stack.
    pub fn path(&self) -> String {
        format!("/tubectl/{}/", self.stack)
    }

    /// The ARN of one of the stack's roles.
    pub fn role_arn(&self, of: &str) -> String {
        self.iam(&format!("role{}{}", self.path(), self.role(of)))
    }

    /// The ARN of one of the stack's policies.
    pub fn policy_arn(&self, of: &str) -> String {
        self.iam(&format!("policy{}{}", self.path(), self.policy(of)))
    }

    /// The ARN of something in the account's IAM.
    pub fn iam(&self, what: &str) -> String {
        format!("arn:{}:iam::{}:{what}", self.place.partition(), self.place.account)
    }

    /// The ARN of a policy that AWS maintains.
    pub fn managed_policy(&self, name: &str) -> String {
        format!("arn:{}:iam::aws:policy/{name}", self.place.partition())
    }

    /// The ARN of something in this account and region.
    pub fn arn(&self, service: &str, what: &str) -> String {
        let Place { region, account, .. } = self.place;
        format!("arn:{}:{service}:{region}:{account}:{what}", self.place.partition())
    }

    /// The ARN of the cluster.
    pub fn cluster_arn(&self) -> String {
        self.arn("eks", &format!("cluster/{}", self.stack))
    }
}

/// The name, or where it is too long its beginning and a hash of the whole.
fn shorten(name: &str, limit: usize) -> String {
    const HASH: usize = 8;
    if name.chars().count() <= limit {
        return name.to_owned();
    }
    let digest = Sha256::digest(name);
    let hash = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let kept: String = name.chars().take(limit.saturating_sub(HASH + 1)).collect();
    format!("{}-{hash:08x}", kept.trim_end_matches('-'))
}
