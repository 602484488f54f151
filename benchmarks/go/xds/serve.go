package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"strconv"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	router "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	manager "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var kinds = []resource.Type{
	resource.ListenerType, resource.RouteType, resource.ClusterType, resource.EndpointType,
}

func serve(kind string, services, endpoints int) {
	plane := newPlane(kind, services, endpoints)
	streams := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(
		streams, server.NewServer(context.Background(), plane.cache, nil))
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() { check(streams.Serve(socket)) }()
	fmt.Println(socket.Addr())
	lines(func(string, int) { plane.change() })
}

// plane is the cache in use, and what is in it.
type plane struct {
	cache   cache.Cache
	changed int
	service *endpoint.ClusterLoadAssignment // that changes
	publish func(version string, changed *endpoint.ClusterLoadAssignment)
}

func newPlane(kind string, services, endpoints int) *plane {
	resources := make([][]types.Resource, len(kinds))
	for n := range services {
		for at, each := range service(n, endpoints) {
			resources[at] = append(resources[at], each)
		}
	}
	p := &plane{service: assignment(0, endpoints)}
	switch kind {
	case "linear":
		p.useLinear(resources)
	case "snapshot":
		p.useSnapshot(resources)
	default:
		log.Fatalf("no such cache: %s", kind)
	}
	return p
}

// useLinear takes a LinearCache for each type.
func (p *plane) useLinear(resources [][]types.Resource) {
	caches := map[string]cache.Cache{}
	var last *cache.LinearCache
	for at, each := range kinds {
		named := map[string]types.Resource{}
		for _, one := range resources[at] {
			named[cache.GetResourceName(one)] = one
		}
		last = cache.NewLinearCache(each, cache.WithInitialResources(named))
		caches[each] = last
	}
	p.cache = &cache.MuxCache{
		Classify:      func(r *cache.Request) string { return r.GetTypeUrl() },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return r.GetTypeUrl() },
		Caches:        caches,
	}
	p.publish = func(_ string, changed *endpoint.ClusterLoadAssignment) {
		check(last.UpdateResource(changed.GetClusterName(), changed))
	}
}

// useSnapshot takes a SnapshotCache in which all clients are one node. A new snapshot has a new version
// of the endpoints only.
func (p *plane) useSnapshot(resources [][]types.Resource) {
	snapshots := cache.NewSnapshotCache(false, oneNode{}, nil)
	named := map[resource.Type][]types.Resource{}
	for at, each := range kinds {
		named[each] = resources[at]
	}
	first, err := cache.NewSnapshot("0", named)
	check(err)
	check(snapshots.SetSnapshot(context.Background(), "all", first))
	p.cache = snapshots
	p.publish = func(version string, changed *endpoint.ClusterLoadAssignment) {
		endpoints := named[resource.EndpointType]
		endpoints[0] = changed
		next := &cache.Snapshot{Resources: first.Resources}
		next.Resources[types.Endpoint] = cache.NewResources(version, endpoints)
		check(snapshots.SetSnapshot(context.Background(), "all", next))
	}
}

type oneNode struct{}

func (oneNode) ID(*core.Node) string { return "all" }

// change moves the first endpoint of the first service to another port.
func (p *plane) change() {
	p.changed++
	p.service = proto.Clone(p.service).(*endpoint.ClusterLoadAssignment)
	p.service.Endpoints[0].LbEndpoints[0] = lbEndpoint("10.0.0.0", 10_000+p.changed)
	p.publish(strconv.Itoa(p.changed), p.service)
}

// service returns the four resources of a service, in the order of kinds.
func service(n, endpoints int) []types.Resource {
	ads := &core.ConfigSource{
		ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}},
		ResourceApiVersion:    core.ApiVersion_V3,
	}
	http := &manager.HttpConnectionManager{
		RouteSpecifier: &manager.HttpConnectionManager_Rds{
			Rds: &manager.Rds{ConfigSource: ads, RouteConfigName: name(n)},
		},
		HttpFilters: []*manager.HttpFilter{{
			Name:       "router",
			ConfigType: &manager.HttpFilter_TypedConfig{TypedConfig: packed(&router.Router{})},
		}},
	}
	return []types.Resource{
		&listener.Listener{
			Name:        name(n),
			ApiListener: &listener.ApiListener{ApiListener: packed(http)},
		},
		&route.RouteConfiguration{Name: name(n), VirtualHosts: []*route.VirtualHost{{
			Name:    name(n),
			Domains: []string{"*"},
			Routes: []*route.Route{{
				Match: &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{}},
				Action: &route.Route_Route{Route: &route.RouteAction{
					ClusterSpecifier: &route.RouteAction_Cluster{Cluster: name(n)},
				}},
			}},
		}}},
		&cluster.Cluster{
			Name:                 name(n),
			ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_EDS},
			EdsClusterConfig:     &cluster.Cluster_EdsClusterConfig{EdsConfig: ads},
		},
		assignment(n, endpoints),
	}
}

func assignment(n, endpoints int) *endpoint.ClusterLoadAssignment {
	found := make([]*endpoint.LbEndpoint, endpoints)
	for each := range found {
		found[each] = lbEndpoint(fmt.Sprintf("10.0.%d.%d", each>>8, each&255), 8080)
	}
	return &endpoint.ClusterLoadAssignment{
		ClusterName: name(n),
		Endpoints: []*endpoint.LocalityLbEndpoints{{
			Locality:            &core.Locality{},
			LbEndpoints:         found,
			LoadBalancingWeight: wrapperspb.UInt32(uint32(endpoints)),
		}},
	}
}

func lbEndpoint(ip string, port int) *endpoint.LbEndpoint {
	return &endpoint.LbEndpoint{
		LoadBalancingWeight: wrapperspb.UInt32(1),
		HostIdentifier: &endpoint.LbEndpoint_Endpoint{Endpoint: &endpoint.Endpoint{
			Address: &core.Address{Address: &core.Address_SocketAddress{
				SocketAddress: &core.SocketAddress{
					Address:       ip,
					PortSpecifier: &core.SocketAddress_PortValue{PortValue: uint32(port)},
				},
			}},
		}},
	}
}

func packed(message proto.Message) *anypb.Any {
	found, err := anypb.New(message)
	check(err)
	return found
}
