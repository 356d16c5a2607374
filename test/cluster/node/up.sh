#!/usr/bin/env bash
# Inside the namespaces that run.sh made: brings the node up, runs the command, and ends, and with it everything else.
#   up.sh FOLDER COMMAND [ARGUMENT...]
set -euo pipefail
run=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
cache=$(cd "$here/../../.." && pwd)/.cache/kubernetes
export PATH=$cache/bin:$cache/debian/usr/bin:$cache/debian/usr/sbin:$PATH
ip=10.245.0.1

# What the node writes outside of its folder, it writes for itself alone.
for folder in /run /var/log /var/lib/cni; do
  mkdir -p "$folder"
  mount -t tmpfs tmpfs "$folder"
done
hostname node1
mkdir -p "$run"/{log,pid,cni,kubelet,plugins}

# A network of its own: an address for the node, and a way to where kube-proxy turns packets around.
ip link set lo up
ip link add node0 type veth peer name node1
ip addr add $ip/24 dev node0
ip link set node0 up
ip link set node1 up
ip route add default dev node0
ip route add local 10.245.1.0/24 dev lo
sysctl -qw net.ipv4.ip_forward=1

cd "$run"
quietly() { "$@" >/dev/null 2>&1; }
quietly openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=cluster-ca
quietly openssl req -newkey rsa:2048 -nodes -keyout api.key -out api.csr -subj /CN=kube-apiserver
names=IP:$ip,IP:10.96.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
quietly openssl x509 -req -in api.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out api.crt \
  -extfile <(echo "subjectAltName=$names")
quietly openssl genrsa -out sa.key 2048
token=$(openssl rand -hex 16)
(umask 077 && echo "$token,admin,admin,system:masters" >tokens.csv && cat >kubeconfig) <<END
apiVersion: v1
kind: Config
clusters: [{name: node, cluster: {server: "https://$ip:6443", certificate-authority: "$run/ca.crt"}}]
users: [{name: admin, user: {token: "$token"}}]
contexts: [{name: node, context: {cluster: node, user: admin}}]
current-context: node
END

start() { # start NAME COMMAND...: kept as a script too, by which a test starts it again
  local name=$1
  shift
  printf '#!/bin/sh\ncd %s\nexec %s >>%s 2>&1 </dev/null\n' "$run" "${*@Q}" "$run/log/$name" >"start-$name"
  chmod +x "start-$name"
  setsid "./start-$name" &
  echo $! >"pid/$name"
}
wait_for() { # wait_for SECONDS NAME COMMAND...
  local end=$((SECONDS + $1)) name=$2
  shift 2
  until quietly "$@"; do
    if [ $SECONDS -gt $end ] || ! kill -0 "$(cat "pid/$name")" 2>/dev/null; then
      tail -20 "log/$name" >&2
      echo "node: $name did not come up" >&2
      exit 1
    fi
    sleep 0.1
  done
}
api() { curl -sf --cacert ca.crt -H "Authorization: Bearer $token" "https://$ip:6443$1"; }

start etcd etcd --data-dir "$run/etcd" --unsafe-no-fsync --log-level warn \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
start kube-apiserver kube-apiserver --etcd-servers=http://127.0.0.1:2379 --bind-address=$ip --advertise-address=$ip \
  --tls-cert-file=api.crt --tls-private-key-file=api.key --client-ca-file=ca.crt --token-auth-file=tokens.csv \
  --authorization-mode=RBAC --service-account-key-file=sa.key --service-account-signing-key-file=sa.key \
  --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-cluster-ip-range=10.96.0.0/16 \
  --allow-privileged --kubelet-preferred-address-types=InternalIP

cat >cni/10-pods.conflist <<END
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local",
  "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "$run/ipam"}}]}
END
cat >containerd.toml <<END
version = 2
root = "$run/containerd"
state = "/run/containerd-state"
[grpc]
  address = "$run/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$run/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$cache/debian/usr/lib/cni"
    conf_dir = "$run/cni"
END
start containerd containerd -c containerd.toml
wait_for 60 kube-apiserver api /readyz
# The only node shares the API server's fate: by default it would count as lost behind an outage, and its pods as unready.
start kube-controller-manager kube-controller-manager --kubeconfig=kubeconfig --leader-elect=false \
  --node-monitor-grace-period=10m \
  --service-account-private-key-file=sa.key --root-ca-file=ca.crt --controllers='*,-node-ipam-controller'
start kube-scheduler kube-scheduler --kubeconfig=kubeconfig --leader-elect=false

: >resolv.conf
cat >kubelet.yaml <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}, x509: {clientCAFile: $run/ca.crt}}
authorization: {mode: AlwaysAllow}
address: $ip
cgroupDriver: cgroupfs
cgroupsPerQOS: false
cgroupRoot: /trysail-test-node
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
clusterDNS: [$ip]
clusterDomain: cluster.local
resolvConf: $run/resolv.conf
volumePluginDir: $run/plugins
containerRuntimeEndpoint: unix://$run/containerd.sock
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%}
maxPods: 200
END
cat >Corefile <<END
.:53 {
  bind $ip
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $run/kubeconfig node
  }
  cache 5
}
END
cat >kube-proxy.yaml <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: $run/kubeconfig}
clusterCIDR: 10.244.0.0/24
hostnameOverride: node1
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
END
wait_for 30 containerd ctr -a containerd.sock version
export KUBECONFIG=$run/kubeconfig TRYSAIL_TEST_NODE=$run
export IMAGE_LOADER="ctr -a $run/containerd.sock -n k8s.io images import -"
start coredns coredns -conf Corefile
start kubelet kubelet --config=kubelet.yaml --kubeconfig=kubeconfig --root-dir="$run/kubelet" \
  --hostname-override=node1 --node-ip=$ip
start kube-proxy kube-proxy --config=kube-proxy.yaml
node_ready() { api /api/v1/nodes/node1 | grep -q '"reason": "KubeletReady"'; }
wait_for 60 kubelet node_ready

cd "$OLDPWD"
"$@"
