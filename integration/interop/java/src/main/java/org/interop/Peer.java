// SPDX-License-Identifier: Apache-2.0

package org.interop;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.dubbo.common.URL;
import org.apache.dubbo.common.config.configcenter.DynamicConfiguration;
import org.apache.dubbo.common.config.configcenter.DynamicConfigurationFactory;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.registry.Registry;
import org.apache.dubbo.registry.RegistryFactory;
import org.apache.dubbo.registry.client.DefaultServiceInstance;
import org.apache.dubbo.registry.client.ServiceInstance;
import org.apache.dubbo.registry.etcd.EtcdServiceDiscovery;
import org.apache.dubbo.rpc.model.ApplicationModel;
import org.apache.dubbo.rpc.model.FrameworkModel;

/**
 * Uses Dubbo's extensions for etcd by their own APIs, as dubbo-admin does: the
 * registry, the service discovery and the config center, at etcd=host:port, with
 * the parameters=name=value&name=value of a registry.
 */
public class Peer {
    private final ApplicationModel application = FrameworkModel.defaultModel().newApplication();
    private final String etcd;
    private final String parameters;
    private final List<Map<String, Map<String, Set<String>>>> known = new ArrayList<>(); // by subscription, category and interface
    private Registry registry;
    private EtcdServiceDiscovery discovery;
    private DynamicConfiguration center;

    public static void main(String[] args) throws Exception {
        Loopback.use();
        new Flags(args).setProperties();
        Peer peer = new Peer(new Flags(args));
        Console.serve(peer::run);
        if (peer.registry != null) {
            peer.registry.destroy();
        }
        System.exit(0);
    }

    private Peer(Flags flags) {
        etcd = flags.get("etcd");
        parameters = flags.get("parameters") == null ? "file-cache=false" : flags.get("parameters");
        application.getApplicationConfigManager().setApplication(new ApplicationConfig("peer"));
    }

    private String run(String command, String rest) throws Exception {
        String[] args = rest.split(" ");
        switch (command) {
            case "register": registry().register(url(rest)); return "";
            case "unregister": registry().unregister(url(rest)); return "";
            case "subscribe": return subscribe(url(rest));
            case "known": return known(Integer.parseInt(args[0]), args[1]);
            case "load": return load(rest);
            case "publish": discovery().doRegister(instance(url(rest))); return "";
            case "instances": return instances(rest);
            case "get": return String.valueOf(center().getConfig(args[1], args[0], 5000));
            case "listen":
                center().addListener(args[1], args[0], e -> Console.say("@ " + e.getKey() + " " + e.getChangeType() + " " + URL.encode(e.getContent())));
                return "";
            case "configure": return String.valueOf(center().publishConfig(args[1], args[0], URL.decode(args[2])));
            default: throw new IllegalArgumentException(command);
        }
    }

    private URL url(String text) {
        return URL.valueOf(text).setScopeModel(application);
    }

    private Registry registry() {
        if (registry == null) {
            URL address = url("etcd3://" + etcd + "/org.apache.dubbo.registry.RegistryService?application=peer&" + parameters);
            registry = application.getExtensionLoader(RegistryFactory.class).getExtension("etcd3").getRegistry(address);
        }
        return registry;
    }

    private EtcdServiceDiscovery discovery() {
        if (discovery == null) {
            discovery = new EtcdServiceDiscovery(application, url("etcd://" + etcd));
        }
        return discovery;
    }

    private DynamicConfiguration center() {
        if (center == null) {
            center = application.getExtensionLoader(DynamicConfigurationFactory.class).getExtension("etcd")
                    .getDynamicConfiguration(url("etcd://" + etcd + "/ConfigCenterConfig"));
        }
        return center;
    }

    private String subscribe(URL url) {
        Map<String, Map<String, Set<String>>> of = new ConcurrentHashMap<>();
        known.add(of);
        registry().subscribe(url, urls -> {
            for (URL first : urls) { // all are of one interface and category
                Set<String> all = new TreeSet<>();
                urls.stream().filter(u -> !u.getProtocol().equals("empty")).forEach(u -> all.add(u.toFullString()));
                of.computeIfAbsent(first.getCategory("providers"), c -> new ConcurrentHashMap<>()).put(first.getServiceInterface(), all);
                break;
            }
        });
        return String.valueOf(known.size() - 1);
    }

    /** Returns what a subscription knows of a category, sorted, encoded. */
    private String known(int subscription, String category) {
        Set<String> all = new TreeSet<>();
        known.get(subscription).getOrDefault(category, Map.of()).values().forEach(urls -> urls.forEach(u -> all.add(URL.encode(u))));
        return String.join(" ", all);
    }

    /** Returns what java.util.Properties reads in a file: key and value, encoded. */
    private static String load(String file) throws IOException {
        Properties properties = new Properties();
        try (InputStream in = Files.newInputStream(Path.of(file))) {
            properties.load(in);
        }
        Set<String> all = new TreeSet<>();
        properties.forEach((key, value) -> all.add(URL.encode(key + "=" + value)));
        return String.join(" ", all);
    }

    private DefaultServiceInstance instance(URL url) {
        DefaultServiceInstance instance = new DefaultServiceInstance(url.getPath(), url.getHost(), url.getPort(), application);
        instance.setEnabled(false);
        instance.setMetadata(Map.of("by", "java"));
        return instance;
    }

    private String instances(String name) {
        TreeSet<String> all = new TreeSet<>();
        for (ServiceInstance i : discovery().getInstances(name)) {
            all.add(i.getServiceName() + "@" + i.getHost() + ":" + i.getPort() + "/enabled=" + i.isEnabled() + "/healthy=" + i.isHealthy() + "/" + new TreeMap<>(i.getMetadata()));
        }
        return String.join(" ", all);
    }
}
