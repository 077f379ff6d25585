//! Images in the account's registry.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use aws_sdk_ecr::types::ImageIdentifier;

use crate::provider::aws::Aws;
use crate::provider::aws::Given;
use crate::provider::aws::codes;
use crate::provider::error::Class;
use crate::provider::error::ProviderError;
use crate::resource::spec::Image;

impl Aws {
    /// The image with this tag and digest, if the registry has it.
    pub async fn find_image(&self, image: &Image, digest: &str) -> Result<Option<Given>, ProviderError> {
        let repository = image.repository.split_once('/').map_or("", |(_, name)| name);
        let wanted = ImageIdentifier::builder().image_tag(&image.tag).build();
        let found = self
            .ecr
            .describe_images()
            .repository_name(repository)
            .image_ids(wanted)
            .send()
            .await;
        let found = match found.map_err(|error| codes::error("ecr DescribeImages", error)) {
            Ok(found) => found,
            Err(error) if error.class == Class::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_there = found
            .image_details()
            .iter()
            .any(|details| details.image_digest() == Some(digest));
        Ok(is_there.then(|| {
            let uri = format!("{}@{digest}", image.repository);
            Given::from([("uri".to_owned(), uri), ("digest".to_owned(), digest.to_owned())])
        }))
    }

    /// The password that the account's registry takes for some hours.
    pub async fn registry_password(&self) -> Result<String, ProviderError> {
        let answer = self.ecr.get_authorization_token().send().await;
        let answer = answer.map_err(|error| codes::error("ecr GetAuthorizationToken", error))?;
        let token = answer
            .authorization_data()
            .first()
            .and_then(|data| data.authorization_token());
        let decoded = token.and_then(|token| STANDARD.decode(token).ok());
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let password = text
            .as_deref()
            .and_then(|text| text.split_once(':'))
            .map(|(_, password)| password.to_owned());
        password.ok_or_else(|| ProviderError::found("ecr GetAuthorizationToken", "the answer has no password"))
    }
}
