import "uplot/dist/uPlot.min.css";
import "./style/base.css";
import "./style/layout.css";
import "./style/panels.css";
import "./style/command.css";
import "./style/plots.css";
import { start } from "./app";

start(document.getElementById("app")!);
