//! What a teardown is to find: one of each kind of thing that a stack or its controllers can leave.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ec2::types as ec2;
use aws_sdk_s3::primitives::ByteStream;
use serde_json::Value;
use serde_json::json;
use tubectl_chart::release::Record;
use tubectl_chart::release::Stamp;
use tubectl_chart::release::Status;
use tubectl_world::connect::Connector;

use super::Ground;
use super::REGION;
use crate::provider::aws::Aws;
use crate::provider::kube::Kube;
use crate::resource::id::ResourceId;

/// One of each kind of thing that a stack or its controllers can leave.
pub(super) struct Plant<'a> {
    pub(super) aws: &'a Aws,
    pub(super) registry: Connector,
    pub(super) vpc: String,
    pub(super) subnets: Vec<String>,
    pub(super) role: String,
}

impl<'a> Plant<'a> {
    pub(super) async fn everything(ground: &Ground, aws: &'a Aws) {
        let role = role(aws, "cluster", "eks.amazonaws.com", "AmazonEKSClusterPolicy").await;
        let (vpc, subnets) = Box::pin(network(aws)).await;
        let plant = Plant {
            aws,
            registry: ground.world.connector(),
            vpc,
            subnets,
            role,
        };
        Box::pin(plant.machines()).await;
        Box::pin(plant.balancers()).await;
        Box::pin(plant.services()).await;
        Box::pin(plant.data()).await;
        Box::pin(plant.profile()).await;
        Box::pin(plant.cluster()).await;
        Box::pin(plant.nodes()).await;
    }

    fn cluster_tag(&self) -> String {
        format!("kubernetes.io/cluster/{}", self.aws.owner.stack)
    }

    async fn machines(&self) {
        let stack = self.aws.owner.stack.as_str();
        let (owned, client) = (self.cluster_tag(), &self.aws.ec2);
        let by_karpenter = [(owned.as_str(), "owned"), ("karpenter.sh/nodepool", "gpu")];
        let run = client
            .run_instances()
            .image_id("ami-0a")
            .instance_type(ec2::InstanceType::M5Large);
        let run = run.min_count(1).max_count(1).subnet_id(&self.subnets[0]);
        run.tag_specifications(tagged(ec2::ResourceType::Instance, &by_karpenter))
            .send()
            .await
            .unwrap();
        let claim = [
            (owned.as_str(), "owned"),
            ("kubernetes.io/created-for/pvc/name", "models"),
        ];
        let volume = client.create_volume().availability_zone("eu-west-1a").size(20);
        let volume = volume.volume_type(ec2::VolumeType::Gp3);
        volume
            .tag_specifications(tagged(ec2::ResourceType::Volume, &claim))
            .send()
            .await
            .unwrap();
        let interface = client
            .create_network_interface()
            .subnet_id(&self.subnets[0])
            .description("aws-K8S-i-0");
        let plugin = tagged(
            ec2::ResourceType::NetworkInterface,
            &[("cluster.k8s.amazonaws.com/name", stack)],
        );
        interface.tag_specifications(plugin).send().await.unwrap();
        let class = [
            ("eks:eks-cluster-name", stack),
            ("karpenter.k8s.aws/ec2nodeclass", "gpu"),
        ];
        let data = ec2::RequestLaunchTemplateData::builder().image_id("ami-0a").build();
        let template = client.create_launch_template().launch_template_data(data);
        let template = template.launch_template_name(format!("karpenter.k8s.aws/{stack}"));
        template
            .tag_specifications(tagged(ec2::ResourceType::LaunchTemplate, &class))
            .send()
            .await
            .unwrap();
    }

    async fn balancers(&self) {
        let (client, stack) = (&self.aws.elb, self.aws.owner.stack.as_str());
        let tag = || {
            let tag = aws_sdk_elasticloadbalancingv2::types::Tag::builder();
            tag.key("elbv2.k8s.aws/cluster").value(stack).build()
        };
        let balancer = client.create_load_balancer().name(format!("k8s-{stack}"));
        let balancer = balancer
            .set_subnets(Some(self.subnets.clone()))
            .tags(tag())
            .send()
            .await
            .unwrap();
        let group = client
            .create_target_group()
            .name(format!("k8s-{stack}"))
            .vpc_id(&self.vpc);
        let http = aws_sdk_elasticloadbalancingv2::types::ProtocolEnum::Http;
        let group = group.protocol(http.clone()).port(80).tags(tag()).send().await.unwrap();
        let forward = aws_sdk_elasticloadbalancingv2::types::Action::builder()
            .r#type(aws_sdk_elasticloadbalancingv2::types::ActionTypeEnum::Forward)
            .set_target_group_arn(group.target_groups()[0].target_group_arn().map(str::to_owned))
            .build();
        let listener = client
            .create_listener()
            .protocol(http)
            .port(80)
            .default_actions(forward);
        let arn = balancer.load_balancers()[0].load_balancer_arn().unwrap();
        listener.load_balancer_arn(arn).send().await.unwrap();
    }

    pub(super) async fn services(&self) {
        let (stack, instance) = (&self.aws.owner.stack, &self.aws.owner.instance);
        // A group that a late flush made again: it has no tags.
        let logs = self.aws.logs.create_log_group();
        logs.log_group_name(format!("/aws/eks/{stack}/cluster"))
            .send()
            .await
            .unwrap();
        let queue = self
            .aws
            .sqs
            .create_queue()
            .queue_name(format!("Karpenter-{stack}-{instance}"));
        let queue = queue.set_tags(Some(owned(self.aws, "queue").into_iter().collect()));
        let queue = queue.send().await.unwrap().queue_url().unwrap().to_owned();
        let name = queue.rsplit('/').next().unwrap();
        let target = aws_sdk_eventbridge::types::Target::builder().id("queue");
        let target = target
            .arn(format!("arn:aws:sqs:{REGION}:123456789012:{name}"))
            .build()
            .unwrap();
        let tags = owned(self.aws, "rule").into_iter();
        let tags = tags.map(|(key, value)| {
            aws_sdk_eventbridge::types::Tag::builder()
                .key(key)
                .value(value)
                .build()
                .unwrap()
        });
        let rule = self.aws.events.put_rule().name(format!("{stack}-spot"));
        let rule = rule
            .event_pattern(r#"{"source": ["aws.ec2"]}"#)
            .set_tags(Some(tags.collect()));
        rule.send().await.unwrap();
        self.aws
            .events
            .put_targets()
            .rule(format!("{stack}-spot"))
            .targets(target)
            .send()
            .await
            .unwrap();
        let tags = owned(self.aws, "key").into_iter();
        let tags = tags.map(|(key, value)| {
            aws_sdk_kms::types::Tag::builder()
                .tag_key(key)
                .tag_value(value)
                .build()
                .unwrap()
        });
        let key = self
            .aws
            .kms
            .create_key()
            .set_tags(Some(tags.collect()))
            .send()
            .await
            .unwrap();
        let key = key.key_metadata().unwrap().key_id().to_owned();
        self.aws
            .kms
            .create_alias()
            .alias_name(format!("alias/{stack}"))
            .target_key_id(key)
            .send()
            .await
            .unwrap();
    }

    pub(super) async fn data(&self) {
        let (stack, instance) = (&self.aws.owner.stack, &self.aws.owner.instance);
        let tags = owned(self.aws, "repository").into_iter();
        let tags = tags.map(|(key, value)| {
            aws_sdk_ecr::types::Tag::builder()
                .key(key)
                .value(value)
                .build()
                .unwrap()
        });
        let repository = self
            .aws
            .ecr
            .create_repository()
            .repository_name(format!("{stack}/gateway"));
        repository.set_tags(Some(tags.collect())).send().await.unwrap();
        self.image(&format!("{stack}/gateway")).await;
        let bucket = format!("{stack}-answers-123456789012-{instance}");
        let client = &self.aws.s3;
        let place = aws_sdk_s3::types::CreateBucketConfiguration::builder();
        let place = place
            .location_constraint(aws_sdk_s3::types::BucketLocationConstraint::EuWest1)
            .build();
        client
            .create_bucket()
            .bucket(&bucket)
            .create_bucket_configuration(place)
            .send()
            .await
            .unwrap();
        let versioning = aws_sdk_s3::types::VersioningConfiguration::builder();
        let versioning = versioning
            .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
            .build();
        let versioned = client
            .put_bucket_versioning()
            .bucket(&bucket)
            .versioning_configuration(versioning);
        versioned.send().await.unwrap();
        for text in ["one", "two"] {
            let put = client
                .put_object()
                .bucket(&bucket)
                .key("answers/1")
                .body(ByteStream::from_static(text.as_bytes()));
            put.send().await.unwrap();
        }
        client
            .delete_object()
            .bucket(&bucket)
            .key("answers/1")
            .send()
            .await
            .unwrap();
        let tags = owned(self.aws, "bucket").into_iter();
        let tags = tags.map(|(key, value)| aws_sdk_s3::types::Tag::builder().key(key).value(value).build().unwrap());
        let tagging = aws_sdk_s3::types::Tagging::builder()
            .set_tag_set(Some(tags.collect()))
            .build()
            .unwrap();
        client
            .put_bucket_tagging()
            .bucket(&bucket)
            .tagging(tagging)
            .send()
            .await
            .unwrap();
    }

    /// Pushes an image: an index of no platforms is the smallest there is.
    async fn image(&self, repository: &str) {
        let token = self.aws.ecr.get_authorization_token().send().await.unwrap();
        let token = token.authorization_data()[0].authorization_token().unwrap().to_owned();
        let index = "application/vnd.oci.image.index.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": index, "manifests": []}).to_string();
        let host = format!("123456789012.dkr.ecr.{REGION}.amazonaws.com");
        let request = http::Request::put(format!("https://{host}/v2/{repository}/manifests/v1"))
            .header("authorization", format!("Basic {token}"))
            .header("content-type", index)
            .body(manifest.into())
            .unwrap();
        let answer = self.registry.send(request).await.unwrap();
        assert_eq!(answer.status(), 201);
    }

    async fn profile(&self) {
        let stack = &self.aws.owner.stack;
        let node = role(self.aws, "node", "ec2.amazonaws.com", "AmazonEKSWorkerNodePolicy").await;
        let (client, name) = (&self.aws.iam, format!("{stack}_1234"));
        let profile = client.create_instance_profile().instance_profile_name(&name);
        profile
            .path(format!("/karpenter/{REGION}/{stack}/0001/"))
            .send()
            .await
            .unwrap();
        let role = node.rsplit('/').next().unwrap();
        client
            .add_role_to_instance_profile()
            .instance_profile_name(&name)
            .role_name(role)
            .send()
            .await
            .unwrap();
    }

    async fn cluster(&self) {
        let (client, stack) = (&self.aws.eks, &self.aws.owner.stack);
        let place = aws_sdk_eks::types::VpcConfigRequest::builder();
        let place = place
            .set_subnet_ids(Some(self.subnets.clone()))
            .endpoint_private_access(true)
            .build();
        let access = aws_sdk_eks::types::CreateAccessConfigRequest::builder();
        let access = access
            .authentication_mode(aws_sdk_eks::types::AuthenticationMode::Api)
            .build();
        let cluster = client.create_cluster().name(stack).version("1.34").role_arn(&self.role);
        let cluster = cluster.resources_vpc_config(place).access_config(access);
        let cluster = cluster.bootstrap_self_managed_addons(false);
        cluster
            .set_tags(Some(owned(self.aws, "cluster").into_iter().collect()))
            .send()
            .await
            .unwrap();
        self.aws.clock.sleep(Duration::from_secs(900)).await;
    }

    async fn nodes(&self) {
        let (client, stack) = (&self.aws.eks, &self.aws.owner.stack);
        let account = "arn:aws:iam::123456789012";
        let group = client.create_nodegroup().cluster_name(stack).nodegroup_name("main");
        let group = group.node_role(format!("{account}:role/tubectl/{stack}/{stack}-node-{REGION}"));
        let scaling = aws_sdk_eks::types::NodegroupScalingConfig::builder();
        let scaling = scaling.min_size(1).max_size(1).desired_size(1).build();
        let group = group.set_subnets(Some(self.subnets.clone())).scaling_config(scaling);
        group.instance_types("m5.large").send().await.unwrap();
        let pod = role(self.aws, "pod", "pods.eks.amazonaws.com", "AmazonS3ReadOnlyAccess").await;
        self.aws.clock.sleep(Duration::from_secs(60)).await;
        let identity = client
            .create_pod_identity_association()
            .cluster_name(stack)
            .namespace("kube-system");
        identity
            .service_account("karpenter")
            .role_arn(pod)
            .send()
            .await
            .unwrap();
        for addon in ["vpc-cni", "kube-proxy"] {
            client
                .create_addon()
                .cluster_name(stack)
                .addon_name(addon)
                .send()
                .await
                .unwrap();
        }
        self.aws.clock.sleep(Duration::from_secs(300)).await;
    }
}

fn owned(aws: &Aws, name: &str) -> BTreeMap<String, String> {
    aws.owner.tags(&ResourceId::new("test", name), &BTreeMap::new())
}

fn tagged(resource: ec2::ResourceType, tags: &[(&str, &str)]) -> ec2::TagSpecification {
    let tags = tags
        .iter()
        .map(|(key, value)| ec2::Tag::builder().key(*key).value(*value).build());
    ec2::TagSpecification::builder()
        .resource_type(resource)
        .set_tags(Some(tags.collect()))
        .build()
}

fn ours(aws: &Aws, resource: ec2::ResourceType, name: &str) -> ec2::TagSpecification {
    let tags = owned(aws, name);
    let tags: Vec<(&str, &str)> = tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    tagged(resource, &tags)
}

/// A role of the stack with a policy of AWS's, one of its own and one inside; gives its ARN.
pub(super) async fn role(aws: &Aws, of: &str, service: &str, policy: &str) -> String {
    let (stack, client) = (&aws.owner.stack, &aws.iam);
    let path = crate::provider::aws::iam::path(stack);
    let name = format!("{stack}-{of}-{REGION}");
    let tags = || {
        let tags = owned(aws, of).into_iter();
        let tags = tags.map(|(key, value)| {
            aws_sdk_iam::types::Tag::builder()
                .key(key)
                .value(value)
                .build()
                .unwrap()
        });
        Some(tags.collect::<Vec<_>>())
    };
    let trust = serde_json::json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": service}, "Action": ["sts:AssumeRole", "sts:TagSession"],
    }]});
    let document = serde_json::json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*",
    }]});
    let role = client.create_role().role_name(&name).path(&path).set_tags(tags());
    let role = role
        .assume_role_policy_document(trust.to_string())
        .send()
        .await
        .unwrap();
    let own = client.create_policy().policy_name(&name).path(&path).set_tags(tags());
    let own = own.policy_document(document.to_string()).send().await.unwrap();
    aws.clock.sleep(Duration::from_secs(30)).await;
    let own = own.policy().unwrap().arn().unwrap().to_owned();
    for arn in [format!("arn:aws:iam::aws:policy/{policy}"), own] {
        client
            .attach_role_policy()
            .role_name(&name)
            .policy_arn(arn)
            .send()
            .await
            .unwrap();
    }
    let inline = client.put_role_policy().role_name(&name).policy_name("inline");
    inline.policy_document(document.to_string()).send().await.unwrap();
    role.role().unwrap().arn().to_owned()
}

/// A VPC with subnets in two zones, all that leads out of it, and what nobody tagged in it.
pub(super) async fn network(aws: &Aws) -> (String, Vec<String>) {
    let client = &aws.ec2;
    let vpc = client.create_vpc().cidr_block("10.0.0.0/16");
    let vpc = vpc
        .tag_specifications(ours(aws, ec2::ResourceType::Vpc, "main"))
        .send()
        .await
        .unwrap();
    let vpc = vpc.vpc().unwrap().vpc_id().unwrap().to_owned();
    aws.clock.sleep(Duration::from_secs(5)).await;
    let mut subnets = Vec::new();
    for (zone, block) in [("a", "10.0.0.0/20"), ("b", "10.0.16.0/20")] {
        let subnet = client.create_subnet().vpc_id(&vpc).cidr_block(block);
        let subnet = subnet
            .availability_zone(format!("{REGION}{zone}"))
            .send()
            .await
            .unwrap();
        subnets.push(subnet.subnet().unwrap().subnet_id().unwrap().to_owned());
    }
    let gateway = client.create_internet_gateway();
    let gateway = gateway.tag_specifications(ours(aws, ec2::ResourceType::InternetGateway, "main"));
    let gateway = gateway
        .send()
        .await
        .unwrap()
        .internet_gateway()
        .unwrap()
        .internet_gateway_id()
        .unwrap()
        .to_owned();
    let address = client.allocate_address().domain(ec2::DomainType::Vpc);
    let address = address
        .tag_specifications(ours(aws, ec2::ResourceType::ElasticIp, "nat"))
        .send()
        .await
        .unwrap();
    aws.clock.sleep(Duration::from_secs(5)).await;
    client
        .attach_internet_gateway()
        .internet_gateway_id(&gateway)
        .vpc_id(&vpc)
        .send()
        .await
        .unwrap();
    let table = client.create_route_table().vpc_id(&vpc).send().await.unwrap();
    let table = table.route_table().unwrap().route_table_id().unwrap().to_owned();
    aws.clock.sleep(Duration::from_secs(5)).await;
    let route = client
        .create_route()
        .route_table_id(&table)
        .destination_cidr_block("0.0.0.0/0");
    route.gateway_id(&gateway).send().await.unwrap();
    client
        .associate_route_table()
        .route_table_id(&table)
        .subnet_id(&subnets[0])
        .send()
        .await
        .unwrap();
    let nat = client.create_nat_gateway().subnet_id(&subnets[0]);
    nat.allocation_id(address.allocation_id().unwrap())
        .send()
        .await
        .unwrap();
    let endpoint = client.create_vpc_endpoint().vpc_id(&vpc);
    endpoint
        .service_name(format!("com.amazonaws.{REGION}.s3"))
        .route_table_ids(&table)
        .send()
        .await
        .unwrap();
    groups_that_name_each_other(aws, &vpc).await;
    (vpc, subnets)
}

async fn groups_that_name_each_other(aws: &Aws, vpc: &str) {
    let mut groups = Vec::new();
    for name in ["one", "two"] {
        let group = aws
            .ec2
            .create_security_group()
            .group_name(name)
            .description(name)
            .vpc_id(vpc);
        groups.push(group.send().await.unwrap().group_id().unwrap().to_owned());
    }
    aws.clock.sleep(Duration::from_secs(5)).await;
    for (group, other) in [(&groups[0], &groups[1]), (&groups[1], &groups[0])] {
        let pair = ec2::UserIdGroupPair::builder().group_id(other).build();
        let open = ec2::IpPermission::builder()
            .ip_protocol("-1")
            .user_id_group_pairs(pair)
            .build();
        let rule = aws
            .ec2
            .authorize_security_group_ingress()
            .group_id(group)
            .ip_permissions(open);
        rule.send().await.unwrap();
    }
}

/// A cluster of the stack without nodes, and its API.
pub(super) async fn cluster(ground: &Ground, aws: &Aws) -> Kube {
    let role = role(aws, "cluster", "eks.amazonaws.com", "AmazonEKSClusterPolicy").await;
    let (vpc, subnets) = Box::pin(network(aws)).await;
    let plant = Plant {
        aws,
        registry: ground.world.connector(),
        vpc,
        subnets,
        role,
    };
    Box::pin(plant.cluster()).await;
    let answer = aws.eks.describe_cluster().name(&aws.owner.stack).send().await.unwrap();
    let found = answer.cluster().unwrap();
    let authority = found.certificate_authority().unwrap().data().unwrap();
    let client = ground
        .clients
        .cluster(&aws.owner.stack, found.endpoint().unwrap(), authority)
        .unwrap();
    Kube::new(client, ground.clock)
}

/// The record of a release of one object.
pub(super) fn release(name: &str, object: &Value) -> Value {
    let record = Record {
        name: name.to_owned(),
        namespace: name.to_owned(),
        revision: 1,
        status: Status::Deployed,
        description: String::new(),
        first_deployed: None,
        last_deployed: None,
        deleted: None,
        notes: String::new(),
        chart: json!({}),
        config: json!({}),
        manifest: format!("---\n{object}\n"),
        hooks: Vec::new(),
        apply_method: None,
        labels: BTreeMap::new(),
    };
    record.to_secret(Stamp::Created(jiff::Timestamp::UNIX_EPOCH)).unwrap()
}
