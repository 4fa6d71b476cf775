//! Tests of the rules about steps and layers.

use super::{check, of};

#[test]
fn what_changes_with_each_commit_stands_below_every_run_that_does_not_use_it() {
    let check = |text, expected| check("volatile-above-run", text, expected);
    check("FROM a:1\nARG GIT_SHA\nRUN make\n", &[2]);
    check("FROM a:1\nENV A=1 BUILD_DATE=$B\nRUN make\n", &[2]);
    check("FROM a:1\nARG VERSION=1\nENV SHOWN=${VERSION:-2}\nRUN make\n", &[2, 3]);
    check("FROM a:1 AS one\nARG REVISION\nFROM one\nRUN make\nFROM one\nRUN make\n", &[2]);
    check("FROM a:1\nARG GIT_SHA\nRUN echo $GIT_SHABBY\n", &[2]);

    check("FROM a:1\nRUN make\nARG GIT_SHA\nLABEL r=$GIT_SHA\n", &[]);
    check("FROM a:1\nARG GIT_SHA\nRUN make REVISION=${GIT_SHA}\nRUN strip /out\n", &[]);
    check("FROM a:1\nARG VERSION=8\nRUN <<EOF\ncurl https://x/$VERSION\nEOF\n", &[]);
    check("ARG VERSION=8\nFROM a:$VERSION\nRUN make\n", &[]);
    check("FROM a:1\nARG GIT_SHA\nFROM a:1\nRUN make\n", &[]);
    check("FROM a:1\nARG NODE_VERSION=22\nARG TINI_SHA256=ab\nRUN make\n", &[]);
}

#[test]
fn dependencies_are_installed_before_the_source_is_copied() {
    let check = |text, expected| check("wide-copy", text, expected);
    check("FROM a:1\nCOPY . .\nRUN npm ci\n", &[2]);
    check("FROM a:1\nCOPY --link [\".\", \"/app\"]\nRUN cd /app && pip install -r r.txt\n", &[2]);
    check("FROM a:1\nRUN apt-get install -y x\nCOPY . .\nRUN apt-get -y install y\n", &[3]);
    check("FROM a:1 AS one\nADD ./ /x\nFROM one\nRUN python3 -m pip install .\n", &[2]);
    check("FROM a:1\nRUN --mount=type=bind,target=. cargo +nightly build\n", &[2]);

    check("FROM a:1\nCOPY package.json .\nRUN npm ci\nCOPY . .\nRUN npm run build\n", &[]);
    check("FROM a:1\nCOPY Cargo.* ./\nRUN cargo fetch\nCOPY . .\nRUN cargo build\n", &[]);
    check("FROM a:1\nCOPY --from=one . .\nRUN npm ci\n", &[]);
    check("FROM a:1\nCOPY src .\nRUN npm ci\n", &[]);
}

#[test]
fn a_copy_that_no_step_builds_on_is_linked() {
    let check = |text, expected| check("copy-without-link", text, expected);
    check("FROM a:1\nRUN make\nCOPY a /a\n", &[3]);
    check("FROM a:1 AS one\nFROM a:1\nCOPY --from=one /a /a\nRUN /a\n", &[3]);
    check("FROM a:1\nADD --chown=1:1 a /a\nCOPY --link=false b /b\n", &[2, 3]);
    check("FROM scratch\nCOPY a /a\nCOPY b /b\n", &[3]);

    check("FROM a:1\nRUN make\nCOPY --link a /a\n", &[]);
    check("FROM a:1\nCOPY a /a\nRUN /a\n", &[]);
    check("FROM a:1\nCOPY --chown=www-data:www-data a /a\n", &[]);
    check("FROM a:1 AS one\nCOPY a /a\nFROM scratch\nCOPY --from=one /a /a\n", &[]);
}

#[test]
fn packages_are_installed_from_lists_of_the_same_step() {
    let check = |text, expected| check("stale-lists", text, expected);
    check("FROM a:1\nRUN apt-get update\nRUN apt-get -y install x\n", &[2, 3]);
    check("FROM a:1\nRUN apt install x; apt update\n", &[2]);
    check("FROM a:1\nRUN echo apt-get update && apt-get install x\n", &[2]);

    check(
        "FROM a:1\nRUN apt-get update && \\\n# why\n  DEBIAN_FRONTEND=x apt-get install x\n",
        &[],
    );
    check("FROM a:1\nRUN [\"sh\", \"-c\", \"apt-get update && apt-get upgrade\"]\n", &[]);
}

#[test]
fn package_lists_do_not_stay() {
    let check = |text, expected| check("package-lists", text, expected);
    check("FROM a:1\nRUN apt-get update && apt-get install x\n", &[2]);
    check("FROM a:1\nRUN rm -rf /var/lib/apt/lists/* && apt-get update\n", &[2]);
    check("FROM a:1\nRUN <<EOF\napt-get update\nrm -rf /var/lib/apt/lists2\nEOF\n", &[2]);

    check("FROM a:1\nRUN apt-get update && rm -rf /var/lib/apt/lists/*\n", &[]);
    check("FROM a:1\nRUN apt-get update; cd /var/lib && rm -r apt/lists\n", &[]);
    check("FROM a:1\nRUN --mount=type=cache,target=/var/lib/apt apt-get update\n", &[]);
}

#[test]
fn only_packages_that_are_named_are_installed() {
    let check = |text, expected| check("recommended-packages", text, expected);
    check("FROM a:1\nRUN apt-get install x\n", &[2]);
    check("FROM a:1\nRUN apt-get install --no-install-recommends x && apt install y\n", &[2]);

    check("FROM a:1\nRUN apt-get --no-install-recommends -y install x\n", &[]);
    check("FROM a:1\nRUN apt-get -o APT::Install-Recommends=0 install x\n", &[]);
}

#[test]
fn package_managers_leave_no_cache() {
    let apk = |text, expected| check("apk-cache", text, expected);
    apk("FROM a:1\nRUN apk add x\n", &[2]);
    apk("FROM a:1\nRUN apk --no-cache add x && apk add --virtual y z\n", &[2]);
    apk("FROM a:1\nRUN apk add --no-cache x\n", &[]);
    apk("FROM a:1\nRUN apk add x && rm -rf /var/cache/apk/*\n", &[]);

    let dnf = |text, expected| check("dnf-cache", text, expected);
    dnf("FROM a:1\nRUN dnf -y install x\n", &[2]);
    dnf("FROM a:1\nRUN yum clean all && yum install x\n", &[2]);
    dnf("FROM a:1\nRUN microdnf install x && microdnf clean all\n", &[]);
    dnf("FROM a:1\nRUN --mount=type=cache,target=/var/cache/dnf dnf install x\n", &[]);

    let pip = |text, expected| check("pip-cache", text, expected);
    pip("FROM a:1\nRUN pip install x\n", &[2]);
    pip("FROM a:1\nENV PIP_NO_CACHE_DIR=off\nRUN python3 -m pip install x\n", &[3]);
    pip("FROM a:1\nRUN pip3 install --no-cache-dir x\n", &[]);
    pip("FROM a:1\nENV PIP_NO_CACHE_DIR=1\nRUN pip install x\n", &[]);
    pip("FROM a:1\nRUN PIP_NO_CACHE_DIR=1 pip install x\n", &[]);
    pip("FROM a:1\nRUN --mount=type=cache,target=/root/.cache pip install x\n", &[]);

    let npm = |text, expected| check("npm-cache", text, expected);
    npm("FROM a:1\nRUN npm ci --omit=dev\n", &[2]);
    npm("FROM a:1\nRUN yarn install --frozen-lockfile\n", &[2]);
    npm("FROM a:1\nRUN npm ci && npm cache clean --force\n", &[]);
    npm("FROM a:1\nRUN --mount=type=cache,target=/root/.npm npm ci\n", &[]);
    npm("FROM a:1\nRUN yarn && yarn cache clean\n", &[]);
    npm("FROM a:1\nRUN npm run build\n", &[]);
}

#[test]
fn what_a_layer_wrote_is_removed_in_that_layer() {
    let check = |text, expected| check("late-clean-up", text, expected);
    check("FROM a:1\nCOPY a.tgz /tmp/\nRUN tar xf /tmp/a.tgz\nRUN rm /tmp/a.tgz\n", &[4]);
    check("FROM a:1\nWORKDIR /w\nRUN curl -O x && tar xf a.tgz\nRUN rm -f a.tgz\n", &[4]);
    check("FROM a:1\nRUN apt-get update\nRUN apt-get install x\nRUN rm -rf /var/lib/apt/*\n", &[4]);
    check("FROM a:1\nRUN cd /src && git clone x src\nRUN cd / && rm -rf src/src\n", &[3]);
    check("FROM a:1 AS one\nRUN echo > /x\nFROM one\nRUN rm /x\n", &[4]);

    check("FROM a:1\nRUN mkdir /b && make && rm -r /b\nRUN mkdir /b && rm -r /b\n", &[]);
    check("FROM a:1\nRUN rm -rf /etc/nginx/conf.d/default.conf\n", &[]);
    check("FROM a:1 AS one\nRUN echo > /x\nRUN rm /x\nFROM scratch\n", &[]);
    check("FROM a:1\nRUN --mount=type=tmpfs,target=/t cp a /t/a\nRUN rm -rf /t/*\n", &[]);
}

#[test]
fn no_cache_mount_holds_what_must_survive() {
    let check = |text, expected| check("cache-mount", text, expected);
    check("FROM a:1\nRUN --mount=type=cache,target=/src/target cargo test\n", &[2]);
    check("FROM a:1\nWORKDIR /app\nRUN --mount=type=cache,dst=node_modules npm ci\n", &[3]);
    check("FROM a:1\nRUN --mount=type=cache,target=/registry cargo test\n", &[]);
    check("FROM a:1\nRUN --mount=type=bind,source=target,target=/target true\n", &[]);

    let detail = |text: &str| of(text).broken.remove(1).detail;
    let mounted = "FROM a:1\nRUN --mount=type=cache,target=/w/target";
    let kept = detail(&format!("{mounted} cd /w && make && cp target/a /a\n"));
    assert!(kept.contains("all of it is made again"), "{kept}");
    let lost = detail(&format!("{mounted} cd /w && make\n"));
    assert!(lost.contains("neither the image nor CI"), "{lost}");
}

#[test]
fn nothing_is_written_below_a_volume() {
    let check = |text, expected| check("below-volume", text, expected);
    check("FROM a:1\nVOLUME /data\nRUN echo 1 > /data/x\n", &[3]);
    check("FROM a:1\nVOLUME [\"/a\", \"/data/\"]\nCOPY --link x /data/y/\n", &[3]);
    check("FROM a:1\nVOLUME /a /data\nWORKDIR /data\nRUN chown -R 1 .\n", &[4]);

    check("FROM a:1\nRUN echo 1 > /data/x\nVOLUME /data\n", &[]);
    check("FROM a:1\nVOLUME /data\nRUN echo 1 > /database && cat /data/x\n", &[]);
}
