// SPDX-License-Identifier: Apache-2.0

import java.util.List;
import java.util.Scanner;
import java.util.TreeSet;
import org.apache.dubbo.common.URL;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.registry.Registry;
import org.apache.dubbo.registry.RegistryFactory;
import org.apache.dubbo.rpc.model.ApplicationModel;
import org.apache.dubbo.rpc.model.FrameworkModel;

/**
 * Uses Dubbo's etcd registry as it is told on standard input ("register URL",
 * "unregister URL", "subscribe URL", "quit"), and writes a line for each command
 * done and for each notification.
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
