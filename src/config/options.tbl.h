/* SL_OPTION(field, kind, variable, flag, default, min, max, allowed, text): the one home of every
 * setting of sluiced. flag is NULL when only the environment may say it. min/max are bytes for
 * SIZE, nanoseconds for DURATION. SL_LIVE_OPTION names after the variable the key by which the
 * overrides file may change the setting while the node runs. */
#ifndef SL_LIVE_OPTION
#define SL_LIVE_OPTION(field, kind, variable, key, flag, ...) \
    SL_OPTION(field, kind, variable, flag, __VA_ARGS__)
#endif
SL_OPTION(host, TEXT, "SLUICE_HOST", "host", "127.0.0.1", 0, 0, "an IP address or host name",
          "Address the REST server listens on")
SL_OPTION(port, INT, "SLUICE_PORT", "port", "8080", 0, 65535, NULL,
          "Port of the REST server; 0 takes a free one and logs it")
SL_OPTION(grpc_port, INT, "GRPC_PORT", "grpc-port", "50051", 0, 65535, NULL,
          "Port of the gRPC server; 0 takes a free one and logs it")
SL_OPTION(
    tls_cert, TEXT, "SLUICE_TLS_CERT", "tls-cert", "", 0, 0, "a PEM file",
    "Certificate and its chain: with it both servers speak TLS 1.2 or 1.3 only; read again on "
    "SIGHUP")
SL_OPTION(tls_key, TEXT, "SLUICE_TLS_KEY", "tls-key", "", 0, 0, "a PEM file",
          "Private key of the certificate, without a password")
SL_OPTION(data_path, TEXT, "PERSISTENCE_DATA_PATH", "data", "./data", 0, 0, "a folder",
          "Folder of the database, or of the node's own records; made when absent")
SL_OPTION(source, TEXT, "SLUICE_SOURCE", "source", "sluice", 0, 0,
          "sluice, weaviate:FOLDER or backup:PLACE",
          "What is exported: the node's own database, or, beside a Weaviate server and without "
          "writing into it, its data directory or one of its backups")
SL_OPTION(node_name, TEXT, "CLUSTER_HOSTNAME", "node-name", "", 0, 0,
          "[A-Za-z0-9._-]+, at most 255",
          "Name of this node in replies and status files; the host name when empty")
SL_LIVE_OPTION(export_enabled, BOOL, "EXPORT_ENABLED", "export_enabled", NULL, "false", 0, 0, NULL,
               "Serve the export API")
SL_LIVE_OPTION(export_bucket, TEXT, "EXPORT_DEFAULT_BUCKET", "export_default_bucket", NULL, "", 0,
               0, NULL, "Bucket of the object-store backends; the filesystem backend ignores it")
SL_LIVE_OPTION(export_path, TEXT, "EXPORT_DEFAULT_PATH", "export_default_path", NULL, "", 0, 0,
               "a folder", "Where the filesystem backend writes; <data>/exports when empty")
SL_LIVE_OPTION(export_parallelism, INT, "EXPORT_PARALLELISM", "export_parallelism", NULL, "0", 0,
               1024, NULL,
               "Ranges written at the same time; 0 means one per CPU, at most 4 per CPU count")
SL_OPTION(overrides_enabled, BOOL, "RUNTIME_OVERRIDES_ENABLED", "runtime-overrides.enabled",
          "false", 0, 0, NULL,
          "Let a file change the settings that have a key, while the node runs")
SL_OPTION(overrides_path, TEXT, "RUNTIME_OVERRIDES_PATH", "runtime-overrides.path", "", 0, 0,
          "a YAML file", "That file; needed when overrides are on")
SL_OPTION(overrides_interval_ns, DURATION, "RUNTIME_OVERRIDES_LOAD_INTERVAL",
          "runtime-overrides.load-interval", "2m", 1000000, 86400000000000, NULL,
          "How often the file is read again; SIGHUP reads it at once")
SL_OPTION(
    memory_max, SIZE, "SLUICE_MEMORY_MAX", "memory-max", "256MiB", 134217728, 1099511627776, NULL,
    "Memory of the whole process, divided at start between store, row groups, parts and requests")
SL_OPTION(layout, CHOICE, "SLUICE_LAYOUT", NULL, "weaviate", 0, 0, "weaviate|lake",
          "Columns of exported files: the seven of Weaviate's, or typed ones for lakes")
SL_OPTION(timestamp_unit, CHOICE, "SLUICE_TIMESTAMP_UNIT", NULL, "auto", 0, 0, "auto|ns|us|ms",
          "Unit of creation_time and update_time in exported files; auto: ns in layout weaviate, us "
          "in layout lake")
SL_OPTION(compression, CHOICE, "SLUICE_COMPRESSION", NULL, "fast", 0, 0, "fast|small|snappy|lz4_raw|none",
          "fast: Zstd, entropy coding only for vectors, level 1 for the rest; small: level 3 "
          "for all")
SL_OPTION(json_annotation, BOOL, "SLUICE_JSON_ANNOTATION", NULL, "false", 0, 0, NULL,
          "Annotate the JSON columns as JSON; some readers then change their type")
SL_OPTION(manifest, BOOL, "SLUICE_MANIFEST", NULL, "true", 0, 0, NULL,
          "Tell of finished exports in _schema.json, _manifest.json and _SUCCESS beside the files, "
          "with checksums; off: nothing that Weaviate does not write")
SL_OPTION(
    is_sync, BOOL, "SLUICE_SYNC", NULL, "true", 0, 0, NULL,
    "Make every write durable before it is acknowledged; off may lose the last writes in a crash")
SL_OPTION(offload_path, TEXT, "SLUICE_OFFLOAD_PATH", NULL, "", 0, 0,
          "a folder, s3://, gs:// or az://",
          "Where OFFLOADED tenants of this node are kept; <data>/offload when empty")
SL_OPTION(auto_schema, BOOL, "AUTOSCHEMA_ENABLED", NULL, "true", 0, 0, NULL,
          "Make missing collections and properties from the first object")
SL_OPTION(limit_default, INT, "QUERY_DEFAULTS_LIMIT", NULL, "10", 1, 1000000, NULL,
          "Objects of a list when the request names no limit")
SL_OPTION(limit_max, INT, "QUERY_MAXIMUM_RESULTS", NULL, "10000", 1, 1000000, NULL,
          "Most objects one list may ask for, offset included")
SL_OPTION(body_max, SIZE, "SLUICE_BODY_MAX", NULL, "100MiB", 1024, 1073741824, NULL,
          "Largest request body")
SL_OPTION(connections_max, INT, "SLUICE_CONNECTIONS_MAX", NULL, "4096", 16, 65536, NULL,
          "Connections open at the same time")
SL_OPTION(
    peer_connections_max, INT, "SLUICE_CONNECTIONS_PER_ADDRESS", NULL, "2048", 0, 65536, NULL,
    "REST connections one address may hold; behind a proxy, that is all of them; 0 is no limit")
SL_OPTION(
    peer_requests_max, INT, "SLUICE_REQUESTS_PER_ADDRESS", NULL, "0", 0, 1000000, NULL,
    "Requests a second, REST and gRPC together, that one address may send; more are answered by "
    "429 or RESOURCE_EXHAUSTED; probes of liveness do not count; 0 is no limit")
SL_OPTION(request_timeout_s, INT, "SLUICE_REQUEST_TIMEOUT", NULL, "60", 1, 3600, NULL,
          "Seconds a silent connection may stay open")
SL_OPTION(metrics_enabled, BOOL, "PROMETHEUS_MONITORING_ENABLED", NULL, "false", 0, 0, NULL,
          "Serve GET /metrics, without authentication, on a port of its own")
SL_OPTION(metrics_port, INT, "PROMETHEUS_MONITORING_PORT", NULL, "2112", 0, 65535, NULL,
          "Port of /metrics; 0 takes a free one and logs it")
SL_OPTION(log_level, CHOICE, "LOG_LEVEL", NULL, "info", 0, 0, "debug|info|warning|error",
          "Least level that is logged")
SL_OPTION(log_format, CHOICE, "LOG_FORMAT", NULL, "json", 0, 0, "json|text", "Form of log lines")
SL_OPTION(anonymous, TEXT, "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED", NULL, "", 0, 0,
          "true, false or empty",
          "Serve who sends no token; when empty, only while no other scheme is configured")
SL_OPTION(has_keys, BOOL, "AUTHENTICATION_APIKEY_ENABLED", NULL, "false", 0, 0, NULL,
          "Serve who sends one of the API keys below")
SL_OPTION(keys, SECRET, "AUTHENTICATION_APIKEY_ALLOWED_KEYS", NULL, "", 0, 0,
          "keys, divided by commas", "API keys; blanks count")
SL_OPTION(key_users, TEXT, "AUTHENTICATION_APIKEY_USERS", NULL, "", 0, 0,
          "names, divided by commas", "Whose keys they are: one user for all, or one for each")
SL_OPTION(has_db_users, BOOL, "AUTHENTICATION_DB_USERS_ENABLED", NULL, "false", 0, 0, NULL,
          "Serve users made at run time by /v1/users/db")
SL_OPTION(has_rbac, BOOL, "AUTHORIZATION_RBAC_ENABLED", NULL, "false", 0, 0, NULL,
          "Users may do what their roles allow")
SL_OPTION(has_rbac_old, BOOL, "AUTHORIZATION_ENABLE_RBAC", NULL, "false", 0, 0, NULL,
          "Old name of AUTHORIZATION_RBAC_ENABLED")
SL_OPTION(root_users, TEXT, "AUTHORIZATION_RBAC_ROOT_USERS", NULL, "", 0, 0,
          "names, divided by commas", "Users with the role root")
SL_OPTION(root_users_old, TEXT, "AUTHORIZATION_ADMIN_USERS", NULL, "", 0, 0,
          "names, divided by commas", "Old name of AUTHORIZATION_RBAC_ROOT_USERS")
SL_OPTION(root_groups, TEXT, "AUTHORIZATION_RBAC_ROOT_GROUPS", NULL, "", 0, 0,
          "names, divided by commas", "Groups with the role root")
SL_OPTION(readonly_groups, TEXT, "AUTHORIZATION_RBAC_READONLY_GROUPS", NULL, "", 0, 0,
          "names, divided by commas", "Groups with the role read-only")
SL_OPTION(readonly_users, TEXT, "EXPERIMENTAL_AUTHORIZATION_RBAC_READONLY_USERS", NULL, "", 0, 0,
          "names, divided by commas", "Users with the role read-only")
SL_OPTION(admin_users, TEXT, "EXPERIMENTAL_AUTHORIZATION_RBAC_ADMIN_USERS", NULL, "", 0, 0,
          "names, divided by commas", "Users with the role admin")
SL_OPTION(has_adminlist, BOOL, "AUTHORIZATION_ADMINLIST_ENABLED", NULL, "false", 0, 0, NULL,
          "Users may do all or read all, by the lists below; not together with roles")
SL_OPTION(list_users, TEXT, "AUTHORIZATION_ADMINLIST_USERS", NULL, "", 0, 0,
          "names, divided by commas", "Users who may do all; \"anonymous\" is who sends no token")
SL_OPTION(list_readonly_users, TEXT, "AUTHORIZATION_ADMINLIST_READONLY_USERS", NULL, "", 0, 0,
          "names, divided by commas", "Users who may read all")
SL_OPTION(list_groups, TEXT, "AUTHORIZATION_ADMINLIST_GROUPS", NULL, "", 0, 0,
          "names, divided by commas", "Groups who may do all")
SL_OPTION(list_readonly_groups, TEXT, "AUTHORIZATION_ADMINLIST_READONLY_GROUPS", NULL, "", 0, 0,
          "names, divided by commas", "Groups who may read all")
SL_OPTION(is_ip_unlogged, BOOL, "AUTHORIZATION_RBAC_IP_IN_AUDIT_LOG_DISABLED", NULL, "false", 0, 0,
          NULL, "Leave the address out of log lines about refusals")
SL_OPTION(has_oidc, BOOL, "AUTHENTICATION_OIDC_ENABLED", NULL, "false", 0, 0, NULL,
          "Serve who sends a token (JWT) of the issuer below")
SL_OPTION(oidc_issuer, TEXT, "AUTHENTICATION_OIDC_ISSUER", NULL, "", 0, 0,
          "a URL, exactly as the issuer calls itself",
          "The OIDC issuer whose tokens are accepted; needed with OIDC")
SL_OPTION(
    oidc_client_id, TEXT, "AUTHENTICATION_OIDC_CLIENT_ID", NULL, "", 0, 0, NULL,
    "What a token must have among its audiences; needed with OIDC unless the check is skipped")
SL_OPTION(is_oidc_any_client, BOOL, "AUTHENTICATION_OIDC_SKIP_CLIENT_ID_CHECK", NULL, "false", 0, 0,
          NULL, "Accept tokens of the issuer that were made for other services, too")
SL_OPTION(oidc_username_claim, TEXT, "AUTHENTICATION_OIDC_USERNAME_CLAIM", NULL, "", 0, 0, NULL,
          "The claim that is the user's name, for example sub; needed with OIDC")
SL_OPTION(oidc_groups_claim, TEXT, "AUTHENTICATION_OIDC_GROUPS_CLAIM", NULL, "", 0, 0, NULL,
          "The claim that lists the user's groups; empty: users have none")
SL_OPTION(oidc_scopes, TEXT, "AUTHENTICATION_OIDC_SCOPES", NULL, "", 0, 0,
          "names, divided by commas", "What clients ask the issuer for when they log in")
SL_OPTION(oidc_certificate, TEXT, "AUTHENTICATION_OIDC_CERTIFICATE", NULL, "", 0, 0,
          "PEM text or the path of such a file",
          "Authority that vouches for the issuer's certificate, instead of the system's")
SL_OPTION(oidc_jwks_url, TEXT, "AUTHENTICATION_OIDC_JWKS_URL", NULL, "", 0, 0, "a URL",
          "Where the issuer's keys are; empty: where its discovery document says")
SL_OPTION(is_oidc_tls_unverified, BOOL, "AUTHENTICATION_OIDC_INSECURE_SKIP_TLS_VERIFY", NULL,
          "false", 0, 0, NULL,
          "Accept any certificate of the issuer; whoever is on the way can then log in as anybody")
/* ---- object stores: all of them ---- */
SL_OPTION(is_probe_skipped, BOOL, "EXPORT_SKIP_ACCESS_CHECK", NULL, "false", 0, 0, NULL,
          "Do not try an object store's bucket and credentials before an export begins")
SL_OPTION(store_deadline_ns, DURATION, "SLUICE_STORE_DEADLINE", NULL, "15m", 1000000000,
          86400000000000, NULL,
          "How long a request to an object store is tried again before it has failed")
SL_OPTION(store_stall_ns, DURATION, "SLUICE_STORE_STALL", NULL, "30s", 100000000, 3600000000000,
          NULL, "An exchange with an object store that moves no byte for so long is begun again")
SL_OPTION(store_bandwidth, SIZE, "SLUICE_STORE_BANDWIDTH", NULL, "0", 0, 1099511627776, NULL,
          "Bytes a second that an export may send to an object store; 0 is no limit")
SL_OPTION(store_ca, TEXT, "SLUICE_STORE_CA", NULL, "", 0, 0, "a PEM file",
          "Authorities that vouch for object stores, beside the system's")
SL_OPTION(home, TEXT, "HOME", NULL, "", 0, 0, "a folder",
          "Where the tools of the clouds keep their files of credentials")
/* ---- S3 ---- */
SL_OPTION(
    aws_region, TEXT, "AWS_REGION", NULL, "", 0, 0, NULL,
    "Region of the bucket; when empty AWS_DEFAULT_REGION, then the profile's, then us-east-1; "
    "another one that the service names is followed")
SL_OPTION(aws_default_region, TEXT, "AWS_DEFAULT_REGION", NULL, "", 0, 0, NULL,
          "The region when AWS_REGION is empty")
SL_OPTION(aws_key_id, TEXT, "AWS_ACCESS_KEY_ID", NULL, "", 0, 0, NULL,
          "Access key, with its secret")
SL_OPTION(aws_key_id_old, TEXT, "AWS_ACCESS_KEY", NULL, "", 0, 0, NULL,
          "The access key when AWS_ACCESS_KEY_ID is empty")
SL_OPTION(aws_secret, SECRET, "AWS_SECRET_ACCESS_KEY", NULL, "", 0, 0, NULL,
          "Secret of the access key")
SL_OPTION(aws_secret_old, SECRET, "AWS_SECRET_KEY", NULL, "", 0, 0, NULL,
          "The secret when AWS_SECRET_ACCESS_KEY is empty")
SL_OPTION(aws_token, SECRET, "AWS_SESSION_TOKEN", NULL, "", 0, 0, NULL,
          "Session token of a temporary access key")
SL_OPTION(aws_profile, TEXT, "AWS_PROFILE", NULL, "", 0, 0, NULL,
          "Profile of the credentials and config files; \"default\" when empty")
SL_OPTION(aws_credentials_file, TEXT, "AWS_SHARED_CREDENTIALS_FILE", NULL, "", 0, 0, "a file",
          "Credentials file; ~/.aws/credentials when empty")
SL_OPTION(aws_config_file, TEXT, "AWS_CONFIG_FILE", NULL, "", 0, 0, "a file",
          "Config file: regions and roles of profiles; ~/.aws/config when empty")
SL_OPTION(aws_identity_file, TEXT, "AWS_WEB_IDENTITY_TOKEN_FILE", NULL, "", 0, 0, "a file",
          "Token that AWS_ROLE_ARN is assumed with (roles of service accounts in Kubernetes)")
SL_OPTION(aws_role, TEXT, "AWS_ROLE_ARN", NULL, "", 0, 0, NULL, "Role of the web identity token")
SL_OPTION(aws_role_session, TEXT, "AWS_ROLE_SESSION_NAME", NULL, "sluice", 0, 0, NULL,
          "Name of that session")
SL_OPTION(aws_sts_url, TEXT, "AWS_ENDPOINT_URL_STS", NULL, "", 0, 0, "a URL",
          "Security token service; that of the region when empty")
SL_OPTION(aws_sso_url, TEXT, "AWS_ENDPOINT_URL_SSO", NULL, "", 0, 0, "a URL",
          "Portal that gives keys for a login by SSO; that of sso_region when empty")
SL_OPTION(aws_container_path, TEXT, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", NULL, "", 0, 0, NULL,
          "Where an ECS task gets credentials, at 169.254.170.2")
SL_OPTION(aws_container_url, TEXT, "AWS_CONTAINER_CREDENTIALS_FULL_URI", NULL, "", 0, 0, "a URL",
          "Where an ECS task or EKS pod gets credentials")
SL_OPTION(aws_container_token, SECRET, "AWS_CONTAINER_AUTHORIZATION_TOKEN", NULL, "", 0, 0, NULL,
          "What it must show there")
SL_OPTION(aws_container_token_file, TEXT, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", NULL, "", 0, 0,
          "a file", "File with what it must show there")
SL_OPTION(aws_metadata_url, TEXT, "AWS_EC2_METADATA_SERVICE_ENDPOINT", NULL,
          "http://169.254.169.254", 0, 0, "a URL", "Metadata service of an EC2 instance")
SL_OPTION(is_aws_metadata_off, BOOL, "AWS_EC2_METADATA_DISABLED", NULL, "false", 0, 0, NULL,
          "Do not ask the metadata service for credentials")
SL_OPTION(s3_role, TEXT, "EXPORT_S3_ROLE_ARN", NULL, "", 0, 0, NULL,
          "Role to assume with the credentials found")
SL_OPTION(s3_external_id, TEXT, "EXPORT_S3_EXTERNAL_ID", NULL, "", 0, 0, NULL,
          "External id that the role asks for")
SL_OPTION(s3_role_session, TEXT, "EXPORT_S3_ROLE_SESSION_NAME", NULL, "weaviate-export-s3", 0, 0,
          NULL, "Name of that session")
SL_OPTION(s3_sts_url, TEXT, "EXPORT_S3_STS_ENDPOINT", NULL, "", 0, 0, "a URL",
          "Security token service for that role")
SL_OPTION(s3_endpoint, TEXT, "BACKUP_S3_ENDPOINT", NULL, "s3.amazonaws.com", 0, 0, "host[:port]",
          "S3 service")
SL_OPTION(s3_use_ssl, TEXT, "BACKUP_S3_USE_SSL", NULL, "true", 0, 0, NULL,
          "Speak TLS with it: anything but \"false\" is yes")
SL_OPTION(
    s3_style, CHOICE, "SLUICE_S3_STYLE", NULL, "auto", 0, 0, "auto|path|host",
    "Bucket in the path or in the host name; auto: in the host name at Amazon, Google and Alibaba")
SL_OPTION(s3_sse, CHOICE, "SLUICE_S3_SSE", NULL, "none", 0, 0, "none|AES256|aws:kms|aws:kms:dsse",
          "Encryption the service is asked for; none leaves it to the bucket")
SL_OPTION(s3_kms_key, TEXT, "SLUICE_S3_KMS_KEY", NULL, "", 0, 0, NULL,
          "Key of aws:kms; the account's own when empty")
SL_OPTION(is_s3_bucket_key, BOOL, "SLUICE_S3_BUCKET_KEY", NULL, "false", 0, 0, NULL,
          "Use the bucket's own key below the KMS key, for fewer calls to KMS")
SL_OPTION(s3_storage_class, TEXT, "SLUICE_S3_STORAGE_CLASS", NULL, "", 0, 0, NULL,
          "Storage class of the objects, for example STANDARD_IA")
SL_OPTION(s3_tags, TEXT, "SLUICE_S3_TAGS", NULL, "", 0, 0, "a=b&c=d", "Tags of the objects")
SL_OPTION(is_s3_requester_pays, BOOL, "SLUICE_S3_REQUESTER_PAYS", NULL, "false", 0, 0, NULL,
          "Pay for requests to a bucket whose requesters pay")
/* ---- Google Cloud Storage ---- */
SL_OPTION(
    gcs_credentials, TEXT, "GOOGLE_APPLICATION_CREDENTIALS", NULL, "", 0, 0, "a JSON file",
    "Account: service_account, authorized_user or external_account; when empty gcloud's file in "
    "the home folder, then the machine's metadata")
SL_OPTION(is_gcs_authenticated, BOOL, "BACKUP_GCS_USE_AUTH", NULL, "true", 0, 0, NULL,
          "Send a token; false for emulators and public buckets")
SL_OPTION(gcs_emulator, TEXT, "STORAGE_EMULATOR_HOST", NULL, "", 0, 0, "host[:port] or a URL",
          "Another service than storage.googleapis.com")
SL_OPTION(gcs_metadata, TEXT, "GCE_METADATA_HOST", NULL, "metadata.google.internal", 0, 0,
          "host[:port]", "Metadata service of a Google machine")
/* ---- Azure Blob Storage ---- */
SL_OPTION(
    azure_connection, SECRET, "AZURE_STORAGE_CONNECTION_STRING", NULL, "", 0, 0,
    "name=value pairs, divided by semicolons",
    "Account, endpoint and, with AccountKey or SharedAccessSignature, the credential; wins over "
    "all that follows")
SL_OPTION(azure_account, TEXT, "AZURE_STORAGE_ACCOUNT", NULL, "", 0, 0, "[a-z0-9-]+",
          "Name of the storage account")
SL_OPTION(azure_key, SECRET, "AZURE_STORAGE_KEY", NULL, "", 0, 0, "base64",
          "Key of the storage account; without it an identity is used")
SL_OPTION(azure_tenant_id, TEXT, "AZURE_TENANT_ID", NULL, "", 0, 0, NULL,
          "Workload identity: the directory of the application")
SL_OPTION(
    azure_client_id, TEXT, "AZURE_CLIENT_ID", NULL, "", 0, 0, NULL,
    "Workload identity: the application; managed identity: which one, where there are several")
SL_OPTION(azure_token_file, TEXT, "AZURE_FEDERATED_TOKEN_FILE", NULL, "", 0, 0, "a file",
          "Workload identity: the token of the workload, read again at every refresh")
SL_OPTION(azure_authority, TEXT, "AZURE_AUTHORITY_HOST", NULL, "https://login.microsoftonline.com",
          0, 0, "a URL", "Workload identity: who gives tokens")
SL_OPTION(azure_identity_url, TEXT, "IDENTITY_ENDPOINT", NULL, "", 0, 0, "a URL",
          "Managed identity of App Service: where its tokens are")
SL_OPTION(azure_identity_header, SECRET, "IDENTITY_HEADER", NULL, "", 0, 0, NULL,
          "Managed identity of App Service: what proves that we run there")
SL_OPTION(azure_imds, TEXT, "AZURE_POD_IDENTITY_AUTHORITY_HOST", NULL, "http://169.254.169.254", 0,
          0, "a URL", "Managed identity of a machine: its metadata service")
#undef SL_LIVE_OPTION
