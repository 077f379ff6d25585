//! What AWS's error codes mean. The only place that knows them.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::provider::error::Class;
use crate::provider::error::ProviderError;

/// What a code means; the message decides only where AWS uses one code for many things.
pub fn classify(code: &str, message: &str) -> Class {
    match code {
        "InvalidParameterException" | "InvalidRequestException" | "InvalidParameterValue" | "ValidationException"
            if is_propagating(message) =>
        {
            Class::Propagating
        }
        // EKS has one code for a name that is taken and for a thing that is busy.
        "ResourceInUseException" if message.contains("already") => Class::Exists,
        // EKS says this of a cluster that is not there.
        "ClientException" if message.starts_with("No cluster found") => Class::NotFound,
        // SQS and KMS wait out what was just deleted or is still changing.
        "AWS.SimpleQueueService.QueueDeletedRecently" | "QueueDeletedRecently" | "KMSInvalidStateException" => {
            Class::InUse
        }
        "InvalidPermission.Duplicate" | "RouteAlreadyExists" | "Resource.AlreadyAssociated" => Class::Exists,
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "RequestExpired"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => Class::Denied,
        "InsufficientInstanceCapacity" | "InsufficientFreeAddressesInSubnet" | "UnfulfillableCapacity" => {
            Class::Capacity
        }
        "DependencyViolation"
        | "DeleteConflict"
        | "DeleteConflictException"
        | "VolumeInUse"
        | "BucketNotEmpty"
        | "InvalidIPAddress.InUse"
        | "InvalidGroup.InUse"
        | "Gateway.NotAttached"
        | "OperationAborted" => Class::InUse,
        // The service failed: whether the call took effect, only a look can tell.
        "InternalError" | "InternalFailure" | "ServerException" | "ServiceUnavailable" | "Unavailable" => {
            Class::Unanswered
        }
        "NoSuchEntity" | "NoSuchBucket" | "NoSuchKey" | "NotFound" | "404" => Class::NotFound,
        _ => by_shape(code),
    }
}

/// What the form of a code means: AWS builds most of them alike.
fn by_shape(code: &str) -> Class {
    let code = code.rsplit('.').next().unwrap_or(code);
    let has = |part: &str| code.contains(part);
    if has("Throttl") || has("RequestLimitExceeded") || has("TooManyRequests") || has("SlowDown") {
        Class::Throttled
    } else if has("LimitExceeded") || has("QuotaExceeded") {
        Class::Quota
    } else if has("AccessDenied") || has("Unauthorized") || has("NotAuthorized") || has("AuthFailure") {
        Class::Denied
    } else if has("InUse") || has("ConcurrentModification") {
        Class::InUse
    } else if has("AlreadyExists") || has("AlreadyOwnedByYou") || has("Duplicate") {
        Class::Exists
    } else if has("NotFound") || has("NonExistent") || has("DoesNotExist") {
        Class::NotFound
    } else {
        Class::Other
    }
}

/// IAM tells its neighbours of a new role within seconds; until then they say one of these.
fn is_propagating(message: &str) -> bool {
    const SAID: [&str; 7] = [
        "does not exist",
        "Error in role params",
        "could not be assumed",
        "doesn't have the Amazon EKS Managed Policies",
        "IAM role's policy must include",
        "is not authorized to perform: sts:AssumeRole",
        "invalid principal",
    ];
    SAID.iter().any(|said| message.contains(said))
}

/// An answer in plain words, which is none of the service's errors: a proxy's, or a world's that cannot go on.
fn plain_words(answer: &HttpResponse) -> Option<String> {
    const LONGEST: usize = 500;
    let text = std::str::from_utf8(answer.body().bytes()?).ok()?.trim();
    let is_plain = !text.is_empty() && text.len() <= LONGEST && !text.starts_with(['<', '{', '[']);
    is_plain.then(|| text.to_owned())
}

/// An SDK's error in our words.
pub fn error<E>(what: &str, error: SdkError<E, HttpResponse>) -> ProviderError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let plain = plain_words(service.raw());
            let service = service.into_err();
            let code = service.code().unwrap_or_default().to_owned();
            let message = service.message().unwrap_or_default().to_owned();
            let class = classify(&code, &message);
            let words = if message.is_empty() {
                plain.unwrap_or_else(|| service.to_string())
            } else {
                message
            };
            ProviderError {
                what: what.to_owned(),
                code,
                class,
                source: words.into(),
            }
        }
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => ProviderError {
            what: what.to_owned(),
            code: String::new(),
            class: Class::Unanswered,
            source: in_one_line(&error).into(),
        },
        _ => ProviderError {
            what: what.to_owned(),
            code: String::new(),
            class: Class::Other,
            source: in_one_line(&error).into(),
        },
    }
}

fn in_one_line(error: &dyn std::error::Error) -> String {
    crate::error::with_causes(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_that_the_field_knows_is_classified() {
        let cases = [
            ("InvalidVpcID.NotFound", "", Class::NotFound),
            ("ResourceNotFoundException", "", Class::NotFound),
            ("AWS.SimpleQueueService.NonExistentQueue", "", Class::NotFound),
            ("RepositoryNotFoundException", "", Class::NotFound),
            ("NoSuchEntity", "", Class::NotFound),
            ("ClientException", "No cluster found for name: tube.", Class::NotFound),
            ("EntityAlreadyExists", "", Class::Exists),
            ("ResourceAlreadyExistsException", "", Class::Exists),
            ("BucketAlreadyOwnedByYou", "", Class::Exists),
            ("InvalidPermission.Duplicate", "", Class::Exists),
            ("ThrottlingException", "", Class::Throttled),
            ("RequestLimitExceeded", "", Class::Throttled),
            ("DependencyViolation", "", Class::InUse),
            ("ResourceInUseException", "", Class::InUse),
            ("ResourceInUseException", "Addon already exists.", Class::Exists),
            ("ConcurrentModificationException", "", Class::InUse),
            ("AWS.SimpleQueueService.QueueDeletedRecently", "", Class::InUse),
            ("VpcLimitExceeded", "", Class::Quota),
            ("AddressLimitExceeded", "", Class::Quota),
            ("UnauthorizedOperation", "", Class::Denied),
            ("AccessDeniedException", "", Class::Denied),
            ("ExpiredToken", "", Class::Denied),
            ("InvalidClientTokenId", "", Class::Denied),
            ("InsufficientInstanceCapacity", "", Class::Capacity),
            (
                "InvalidParameterException",
                "Role with arn: x, could not be assumed because it does not exist",
                Class::Propagating,
            ),
            ("InvalidParameterException", "The subnets are in one zone", Class::Other),
        ];
        for (code, message, expected) in cases {
            assert_eq!(classify(code, message), expected, "{code}: {message}");
        }
    }
}
