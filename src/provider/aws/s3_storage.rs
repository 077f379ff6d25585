//! A bucket as the audience's app stores things: keys and bytes. It knows nothing of what is kept.

use aws_config::SdkConfig;
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures::future::BoxFuture;
use tubectl_gateway::Listing;
use tubectl_gateway::Storage;
use tubectl_gateway::StorageError;

/// One bucket.
#[derive(Clone, Debug)]
pub struct BucketStorage {
    s3: aws_sdk_s3::Client,
    bucket: String,
}

impl BucketStorage {
    /// The bucket of this name, through clients of this configuration.
    pub fn new(config: &SdkConfig, bucket: &str) -> Self {
        Self {
            s3: aws_sdk_s3::Client::new(config),
            bucket: bucket.to_owned(),
        }
    }
}

impl Storage for BucketStorage {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>> {
        Box::pin(async move {
            let object = match self.s3.get_object().bucket(&self.bucket).key(key).send().await {
                Ok(object) => object,
                Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => return Ok(None),
                Err(error) => return Err(failed(&error)),
            };
            let body = object.body.collect().await.map_err(StorageError::new)?;
            Ok(Some(body.into_bytes()))
        })
    }

    fn put<'a>(&'a self, key: &'a str, body: Bytes) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async move {
            let put = self.s3.put_object().bucket(&self.bucket).key(key);
            let put = put.content_type("application/json").body(ByteStream::from(body));
            put.send().await.map(drop).map_err(|error| failed(&error))
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async move {
            let delete = self.s3.delete_object().bucket(&self.bucket).key(key);
            delete.send().await.map(drop).map_err(|error| failed(&error))
        })
    }

    fn list<'a>(&'a self, prefix: &'a str, page: Option<String>) -> BoxFuture<'a, Result<Listing, StorageError>> {
        Box::pin(async move {
            let list = self.s3.list_objects_v2().bucket(&self.bucket).prefix(prefix);
            let found = list.set_continuation_token(page).send().await;
            let found = found.map_err(|error| failed(&error))?;
            let keys = found.contents().iter().filter_map(|object| object.key());
            Ok(Listing {
                keys: keys.map(str::to_owned).collect(),
                next: found.next_continuation_token().map(str::to_owned),
            })
        })
    }
}

fn failed(error: &(dyn std::error::Error + Send + Sync)) -> StorageError {
    StorageError::new(DisplayErrorContext(error).to_string())
}
