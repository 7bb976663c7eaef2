// SPDX-License-Identifier: Apache-2.0

import java.util.List;
import java.util.Map;
import java.util.Scanner;
import java.util.TreeSet;
import org.apache.dubbo.common.URL;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.registry.Registry;
import org.apache.dubbo.registry.RegistryFactory;
import org.apache.dubbo.registry.client.DefaultServiceInstance;
import org.apache.dubbo.registry.client.ServiceInstance;
import org.apache.dubbo.registry.etcd.EtcdServiceDiscovery;
import org.apache.dubbo.rpc.model.ApplicationModel;
import org.apache.dubbo.rpc.model.FrameworkModel;

/**
 * Uses Dubbo's etcd registry as it is told on standard input ("register URL",
 * "unregister URL", "subscribe URL", "quit"), and its service discovery
 * ("publish URL", "instances APPLICATION"), and writes a line for each command
 * done, for each notification and for each list of instances.
 */
public class Peer {
    public static void main(String[] args) {
        ApplicationModel application = FrameworkModel.defaultModel().newApplication();
        application.getApplicationConfigManager().setApplication(new ApplicationConfig("peer"));
        URL address = URL.valueOf("etcd3://" + args[0] + "/org.apache.dubbo.registry.RegistryService?application=peer&file-cache=false");
        Registry registry = application.getExtensionLoader(RegistryFactory.class).getExtension("etcd3")
                .getRegistry(address.setScopeModel(application));
        Scanner commands = new Scanner(System.in, "UTF-8");
        while (commands.hasNextLine()) {
            String[] command = commands.nextLine().split(" ", 2);
            if (command[0].equals("quit")) {
                break;
            }
            URL url = URL.valueOf(command[1]).setScopeModel(application);
            switch (command[0]) {
                case "publish": discovery(application, args[0]).doRegister(instance(application, url)); break;
                case "instances": list(discovery(application, args[0]).getInstances(command[1])); break;
                case "register": registry.register(url); break;
                case "unregister": registry.unregister(url); break;
                case "subscribe": registry.subscribe(url, Peer::notified); break;
                default: throw new IllegalArgumentException(command[0]);
            }
            say("DONE " + command[0]);
        }
        registry.destroy();
        say("DONE quit");
        System.exit(0);
    }

    private static EtcdServiceDiscovery discovery;

    private static EtcdServiceDiscovery discovery(ApplicationModel application, String etcd) {
        if (discovery == null) {
            discovery = new EtcdServiceDiscovery(application, URL.valueOf("etcd://" + etcd).setScopeModel(application));
        }
        return discovery;
    }

    private static DefaultServiceInstance instance(ApplicationModel application, URL url) {
        DefaultServiceInstance instance = new DefaultServiceInstance(url.getPath(), url.getHost(), url.getPort(), application);
        instance.setEnabled(false);
        instance.setMetadata(Map.of("by", "java"));
        return instance;
    }

    private static void list(List<ServiceInstance> instances) {
        TreeSet<String> all = new TreeSet<>();
        for (ServiceInstance i : instances) {
            all.add(i.getServiceName() + "@" + i.getHost() + ":" + i.getPort() + "/enabled=" + i.isEnabled() + "/healthy=" + i.isHealthy() + "/" + i.getMetadata());
        }
        say("INSTANCES " + String.join(" ", all));
    }

    private static void notified(List<URL> urls) {
        TreeSet<String> addresses = new TreeSet<>();
        for (URL url : urls) {
            if (url.getCategory("providers").equals("providers") && !url.getProtocol().equals("empty")) {
                addresses.add(url.getAddress());
            }
        }
        say("NOTIFIED " + String.join(" ", addresses));
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
