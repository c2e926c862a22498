"""What `./dev bench store` sets our export to an object store beside: others uploading finished files, part by part,
in parallel; and a look at the store from outside."""

import os
import pathlib
import shutil
import subprocess
import threading
import time


def rclone(store, folder, part_bytes, ca):
    """Ten parts of a file at the same time; without the MD5 it would read each file for beforehand, and without a
    wait for 100-continue, which versitygw does not send: a second for each part."""
    how = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": store.url, "REGION": store.env["AWS_REGION"],
           "ACCESS_KEY_ID": store.env["AWS_ACCESS_KEY_ID"], "SECRET_ACCESS_KEY": store.env["AWS_SECRET_ACCESS_KEY"]}
    how = {"CONFIG": os.devnull, **{f"CONFIG_STORE_{name}": value for name, value in how.items()},
           "S3_NO_CHECK_BUCKET": "true", "S3_DISABLE_CHECKSUM": "true", "S3_UPLOAD_CONCURRENCY": "10",
           "S3_CHUNK_SIZE": f"{part_bytes}b", "S3_UPLOAD_CUTOFF": f"{part_bytes}b", "EXPECT_CONTINUE_TIMEOUT": "0",
           **({"CA_CERT": str(ca)} if ca else {})}
    command = ["rclone", "copy", folder, f"store:{store.place.removeprefix('s3://')}/rclone"]
    env = {"PATH": os.environ["PATH"], **{f"RCLONE_{name}": value for name, value in how.items()}}
    begun = time.monotonic()
    subprocess.run(command, env=env, check=True)
    return time.monotonic() - begun


def crt_manager(store, part_bytes, ca):
    """Put together here, as the AWS command line does: boto3 leaves the endpoint out."""
    import botocore.session
    from awscrt.auth import AwsCredentialsProvider
    from botocore.config import Config
    from s3transfer.crt import BotocoreCRTRequestSerializer, CRTTransferManager, create_s3_crt_client
    region = store.env["AWS_REGION"]
    keys = AwsCredentialsProvider.new_static(store.env["AWS_ACCESS_KEY_ID"], store.env["AWS_SECRET_ACCESS_KEY"])
    client = create_s3_crt_client(region, keys, part_size=part_bytes, use_ssl=ca is not None,
                                  verify=str(ca) if ca else None)
    how = {"region_name": region, "endpoint_url": store.url, "config": Config(s3={"addressing_style": "path"})}
    return CRTTransferManager(client, BotocoreCRTRequestSerializer(botocore.session.get_session(), how))


def crt(store, folder, part_bytes, ca):
    """Amazon's C library, under the transfer manager of boto3."""
    with crt_manager(store, part_bytes, ca) as manager:
        begun = time.monotonic()
        waiting = [manager.upload(str(p), store.place.removeprefix("s3://"), f"crt/{p.relative_to(folder)}")
                   for p in sorted(pathlib.Path(folder).rglob("*")) if p.is_file()]
        for future in waiting:
            future.result()
        return time.monotonic() - begun


# Each takes (store, folder, bytes of a part, file of the authority or None): seconds to upload the files of the folder.
ENGINES = {"rclone": rclone, "crt": crt}


def bucket(store):
    return store.folder / "data" / store.place.removeprefix("s3://")


def empty(store):
    for path in bucket(store).iterdir():
        shutil.rmtree(path, ignore_errors=True)


class FirstPart:
    """When the store had the first whole part or Parquet file, and its size: versitygw makes a file of each at its
    end. Looked at from a thread, since nothing between client and store is to slow down either."""

    def __init__(self, store):
        self.store, self.at, self.size = store, None, None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def found(self):
        parts = bucket(self.store).glob(".sgwtmp/multipart/*/*/[0-9]*")
        return next((p for p in [*parts, *bucket(self.store).rglob("*.parquet")] if p.is_file()), None)

    def watch(self):
        while not self.ended.wait(0.01):
            try:
                path = self.found()
                if path is not None:
                    self.at, self.size = time.monotonic(), path.stat().st_size
                    return
            except OSError:
                pass  # renamed or removed while it was looked at

    def stop(self):
        self.ended.set()
        self.thread.join()
